from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.patched_upstream_endpoint_changes import PatchedUpstreamEndpointChanges
from ...models.problem import Problem
from ...models.upstream_endpoint_answer import UpstreamEndpointAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    body: PatchedUpstreamEndpointChanges | Unset = UNSET,
    if_match: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(if_match, Unset):
        headers["If-Match"] = if_match

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/api/v1/upstream-endpoints/{id}".format(
            id=quote(str(id), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | UpstreamEndpointAnswer | None:
    if response.status_code == 200:
        response_200 = UpstreamEndpointAnswer.from_dict(response.json())

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
) -> Response[Problem | UpstreamEndpointAnswer]:
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
    body: PatchedUpstreamEndpointChanges | Unset = UNSET,
    if_match: str | Unset = UNSET,
) -> Response[Problem | UpstreamEndpointAnswer]:
    """Change its share, name or credential, have it drain, or renew its lease.

    Args:
        id (str):
        if_match (str | Unset):
        body (PatchedUpstreamEndpointChanges | Unset): What may change. ``lease_seconds`` renews
            the lease from now; ``credential`` null: it is asked without one.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UpstreamEndpointAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
        if_match=if_match,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    body: PatchedUpstreamEndpointChanges | Unset = UNSET,
    if_match: str | Unset = UNSET,
) -> Problem | UpstreamEndpointAnswer | None:
    """Change its share, name or credential, have it drain, or renew its lease.

    Args:
        id (str):
        if_match (str | Unset):
        body (PatchedUpstreamEndpointChanges | Unset): What may change. ``lease_seconds`` renews
            the lease from now; ``credential`` null: it is asked without one.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UpstreamEndpointAnswer
    """

    return sync_detailed(
        id=id,
        client=client,
        body=body,
        if_match=if_match,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    body: PatchedUpstreamEndpointChanges | Unset = UNSET,
    if_match: str | Unset = UNSET,
) -> Response[Problem | UpstreamEndpointAnswer]:
    """Change its share, name or credential, have it drain, or renew its lease.

    Args:
        id (str):
        if_match (str | Unset):
        body (PatchedUpstreamEndpointChanges | Unset): What may change. ``lease_seconds`` renews
            the lease from now; ``credential`` null: it is asked without one.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | UpstreamEndpointAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
        if_match=if_match,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    body: PatchedUpstreamEndpointChanges | Unset = UNSET,
    if_match: str | Unset = UNSET,
) -> Problem | UpstreamEndpointAnswer | None:
    """Change its share, name or credential, have it drain, or renew its lease.

    Args:
        id (str):
        if_match (str | Unset):
        body (PatchedUpstreamEndpointChanges | Unset): What may change. ``lease_seconds`` renews
            the lease from now; ``credential`` null: it is asked without one.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | UpstreamEndpointAnswer
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            body=body,
            if_match=if_match,
        )
    ).parsed
