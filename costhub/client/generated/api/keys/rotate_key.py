from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_key_answer import NewKeyAnswer
from ...models.problem import Problem
from ...models.rotation import Rotation
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    body: Rotation | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/keys/{id}/rotate".format(
            id=quote(str(id), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> NewKeyAnswer | Problem | None:
    if response.status_code == 201:
        response_201 = NewKeyAnswer.from_dict(response.json())

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
) -> Response[NewKeyAnswer | Problem]:
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
    body: Rotation | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[NewKeyAnswer | Problem]:
    """Replace a key by a new one with the same rights. Budgets and rate limits hold both as one key, which
    goes on
    with what was spent; they name it by its first key's id.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (Rotation | Unset): For how long the old key works on; not at all unless said.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NewKeyAnswer | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    body: Rotation | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> NewKeyAnswer | Problem | None:
    """Replace a key by a new one with the same rights. Budgets and rate limits hold both as one key, which
    goes on
    with what was spent; they name it by its first key's id.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (Rotation | Unset): For how long the old key works on; not at all unless said.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NewKeyAnswer | Problem
    """

    return sync_detailed(
        id=id,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    body: Rotation | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[NewKeyAnswer | Problem]:
    """Replace a key by a new one with the same rights. Budgets and rate limits hold both as one key, which
    goes on
    with what was spent; they name it by its first key's id.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (Rotation | Unset): For how long the old key works on; not at all unless said.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NewKeyAnswer | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    body: Rotation | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> NewKeyAnswer | Problem | None:
    """Replace a key by a new one with the same rights. Budgets and rate limits hold both as one key, which
    goes on
    with what was spent; they name it by its first key's id.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (Rotation | Unset): For how long the old key works on; not at all unless said.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NewKeyAnswer | Problem
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
