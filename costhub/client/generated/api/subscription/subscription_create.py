from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_subscription import NewSubscription
from ...models.problem import Problem
from ...models.subscription_answer import SubscriptionAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewSubscription,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/subscription",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | SubscriptionAnswer | None:
    if response.status_code == 201:
        response_201 = SubscriptionAnswer.from_dict(response.json())

        return response_201

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Problem | SubscriptionAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewSubscription,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | SubscriptionAnswer]:
    """Choose a plan, from now on; what is left of the month is prorated. A minimum that was agreed stays.

    Args:
        idempotency_key (str | Unset):
        body (NewSubscription): Which plan, by name or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SubscriptionAnswer]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: NewSubscription,
    idempotency_key: str | Unset = UNSET,
) -> Problem | SubscriptionAnswer | None:
    """Choose a plan, from now on; what is left of the month is prorated. A minimum that was agreed stays.

    Args:
        idempotency_key (str | Unset):
        body (NewSubscription): Which plan, by name or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SubscriptionAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewSubscription,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | SubscriptionAnswer]:
    """Choose a plan, from now on; what is left of the month is prorated. A minimum that was agreed stays.

    Args:
        idempotency_key (str | Unset):
        body (NewSubscription): Which plan, by name or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SubscriptionAnswer]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: NewSubscription,
    idempotency_key: str | Unset = UNSET,
) -> Problem | SubscriptionAnswer | None:
    """Choose a plan, from now on; what is left of the month is prorated. A minimum that was agreed stays.

    Args:
        idempotency_key (str | Unset):
        body (NewSubscription): Which plan, by name or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SubscriptionAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
