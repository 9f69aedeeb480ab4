from http import HTTPStatus
from typing import Any, cast

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.demo_removal import DemoRemoval
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: DemoRemoval,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/remove-demo",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Any | Problem | None:
    if response.status_code == 204:
        response_204 = cast(Any, None)
        return response_204

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Any | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: DemoRemoval,
    idempotency_key: str | Unset = UNSET,
) -> Response[Any | Problem]:
    """Remove the demo organisation with its made-up history, its audit log too, for good and at once. For
    whoever
    may change members, and has just signed in. 409: this organisation is no demo.

    Args:
        idempotency_key (str | Unset):
        body (DemoRemoval): The demo organisation's short name, so that nobody removes another one
            than they think.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem]
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
    body: DemoRemoval,
    idempotency_key: str | Unset = UNSET,
) -> Any | Problem | None:
    """Remove the demo organisation with its made-up history, its audit log too, for good and at once. For
    whoever
    may change members, and has just signed in. 409: this organisation is no demo.

    Args:
        idempotency_key (str | Unset):
        body (DemoRemoval): The demo organisation's short name, so that nobody removes another one
            than they think.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: DemoRemoval,
    idempotency_key: str | Unset = UNSET,
) -> Response[Any | Problem]:
    """Remove the demo organisation with its made-up history, its audit log too, for good and at once. For
    whoever
    may change members, and has just signed in. 409: this organisation is no demo.

    Args:
        idempotency_key (str | Unset):
        body (DemoRemoval): The demo organisation's short name, so that nobody removes another one
            than they think.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | Problem]
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
    body: DemoRemoval,
    idempotency_key: str | Unset = UNSET,
) -> Any | Problem | None:
    """Remove the demo organisation with its made-up history, its audit log too, for good and at once. For
    whoever
    may change members, and has just signed in. 409: this organisation is no demo.

    Args:
        idempotency_key (str | Unset):
        body (DemoRemoval): The demo organisation's short name, so that nobody removes another one
            than they think.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
