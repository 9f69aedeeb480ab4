from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.route_savings_answer import RouteSavingsAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["from"] = from_

    params["range"] = range_

    params["to"] = to

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/routes/{id}/savings".format(
            id=quote(str(id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | RouteSavingsAnswer | None:
    if response.status_code == 200:
        response_200 = RouteSavingsAnswer.from_dict(response.json())

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
) -> Response[Problem | RouteSavingsAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[Problem | RouteSavingsAnswer]:
    """By arm and model, attributed and proven.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RouteSavingsAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        from_=from_,
        range_=range_,
        to=to,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Problem | RouteSavingsAnswer | None:
    """By arm and model, attributed and proven.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RouteSavingsAnswer
    """

    return sync_detailed(
        id=id,
        client=client,
        from_=from_,
        range_=range_,
        to=to,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[Problem | RouteSavingsAnswer]:
    """By arm and model, attributed and proven.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RouteSavingsAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        from_=from_,
        range_=range_,
        to=to,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Problem | RouteSavingsAnswer | None:
    """By arm and model, attributed and proven.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RouteSavingsAnswer
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            from_=from_,
            range_=range_,
            to=to,
        )
    ).parsed
