from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_upstream_endpoint import NewUpstreamEndpoint
from ...models.problem import Problem
from ...models.upstream_endpoint_answer import UpstreamEndpointAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewUpstreamEndpoint,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/upstream-endpoints",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | UpstreamEndpointAnswer | None:
    if response.status_code == 201:
        response_201 = UpstreamEndpointAnswer.from_dict(response.json())

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
) -> Response[Problem | UpstreamEndpointAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewUpstreamEndpoint,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | UpstreamEndpointAnswer]:
    """Register a server: it takes calls from now on. One that is there already takes them again.

    Args:
        idempotency_key (str | Unset):
        body (NewUpstreamEndpoint): What an endpoint is made of; ``upstream`` by name or id. What
            its hours cost is told to ``/gpu-endpoints``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UpstreamEndpointAnswer]
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
    body: NewUpstreamEndpoint,
    idempotency_key: str | Unset = UNSET,
) -> Problem | UpstreamEndpointAnswer | None:
    """Register a server: it takes calls from now on. One that is there already takes them again.

    Args:
        idempotency_key (str | Unset):
        body (NewUpstreamEndpoint): What an endpoint is made of; ``upstream`` by name or id. What
            its hours cost is told to ``/gpu-endpoints``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UpstreamEndpointAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewUpstreamEndpoint,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | UpstreamEndpointAnswer]:
    """Register a server: it takes calls from now on. One that is there already takes them again.

    Args:
        idempotency_key (str | Unset):
        body (NewUpstreamEndpoint): What an endpoint is made of; ``upstream`` by name or id. What
            its hours cost is told to ``/gpu-endpoints``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UpstreamEndpointAnswer]
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
    body: NewUpstreamEndpoint,
    idempotency_key: str | Unset = UNSET,
) -> Problem | UpstreamEndpointAnswer | None:
    """Register a server: it takes calls from now on. One that is there already takes them again.

    Args:
        idempotency_key (str | Unset):
        body (NewUpstreamEndpoint): What an endpoint is made of; ``upstream`` by name or id. What
            its hours cost is told to ``/gpu-endpoints``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UpstreamEndpointAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
