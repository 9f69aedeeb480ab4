from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.deliveries_list_state import DeliveriesListState
from ...models.paginated_delivery_answer_list import PaginatedDeliveryAnswerList
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    channel: str | Unset = UNSET,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    state: DeliveriesListState | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["channel"] = channel

    params["cursor"] = cursor

    params["limit"] = limit

    json_state: str | Unset = UNSET
    if not isinstance(state, Unset):
        json_state = state.value

    params["state"] = json_state

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/deliveries",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PaginatedDeliveryAnswerList | Problem | None:
    if response.status_code == 200:
        response_200 = PaginatedDeliveryAnswerList.from_dict(response.json())

        return response_200

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[PaginatedDeliveryAnswerList | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    channel: str | Unset = UNSET,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    state: DeliveriesListState | Unset = UNSET,
) -> Response[PaginatedDeliveryAnswerList | Problem]:
    """A page of messages, newest first.

    Args:
        channel (str | Unset):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        state (DeliveriesListState | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaginatedDeliveryAnswerList | Problem]
    """

    kwargs = _get_kwargs(
        channel=channel,
        cursor=cursor,
        limit=limit,
        state=state,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    channel: str | Unset = UNSET,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    state: DeliveriesListState | Unset = UNSET,
) -> PaginatedDeliveryAnswerList | Problem | None:
    """A page of messages, newest first.

    Args:
        channel (str | Unset):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        state (DeliveriesListState | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PaginatedDeliveryAnswerList | Problem
    """

    return sync_detailed(
        client=client,
        channel=channel,
        cursor=cursor,
        limit=limit,
        state=state,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    channel: str | Unset = UNSET,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    state: DeliveriesListState | Unset = UNSET,
) -> Response[PaginatedDeliveryAnswerList | Problem]:
    """A page of messages, newest first.

    Args:
        channel (str | Unset):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        state (DeliveriesListState | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaginatedDeliveryAnswerList | Problem]
    """

    kwargs = _get_kwargs(
        channel=channel,
        cursor=cursor,
        limit=limit,
        state=state,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    channel: str | Unset = UNSET,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    state: DeliveriesListState | Unset = UNSET,
) -> PaginatedDeliveryAnswerList | Problem | None:
    """A page of messages, newest first.

    Args:
        channel (str | Unset):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        state (DeliveriesListState | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PaginatedDeliveryAnswerList | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            channel=channel,
            cursor=cursor,
            limit=limit,
            state=state,
        )
    ).parsed
