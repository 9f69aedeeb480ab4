from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.playground_answer import PlaygroundAnswer
from ...models.playground_body import PlaygroundBody
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: PlaygroundBody,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/route-playground",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PlaygroundAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = PlaygroundAnswer.from_dict(response.json())

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
) -> Response[PlaygroundAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: PlaygroundBody,
    idempotency_key: str | Unset = UNSET,
) -> Response[PlaygroundAnswer | Problem]:
    """Where a request would go.

    Args:
        idempotency_key (str | Unset):
        body (PlaygroundBody): A request's body as it would be sent to /v1, with our headers, by a
            key's id or by one that may use every model.
            ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body
            looks like.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PlaygroundAnswer | Problem]
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
    body: PlaygroundBody,
    idempotency_key: str | Unset = UNSET,
) -> PlaygroundAnswer | Problem | None:
    """Where a request would go.

    Args:
        idempotency_key (str | Unset):
        body (PlaygroundBody): A request's body as it would be sent to /v1, with our headers, by a
            key's id or by one that may use every model.
            ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body
            looks like.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PlaygroundAnswer | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: PlaygroundBody,
    idempotency_key: str | Unset = UNSET,
) -> Response[PlaygroundAnswer | Problem]:
    """Where a request would go.

    Args:
        idempotency_key (str | Unset):
        body (PlaygroundBody): A request's body as it would be sent to /v1, with our headers, by a
            key's id or by one that may use every model.
            ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body
            looks like.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PlaygroundAnswer | Problem]
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
    body: PlaygroundBody,
    idempotency_key: str | Unset = UNSET,
) -> PlaygroundAnswer | Problem | None:
    """Where a request would go.

    Args:
        idempotency_key (str | Unset):
        body (PlaygroundBody): A request's body as it would be sent to /v1, with our headers, by a
            key's id or by one that may use every model.
            ``endpoint`` is the path below /v1 that it would be sent to; without one, what the body
            looks like.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PlaygroundAnswer | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
