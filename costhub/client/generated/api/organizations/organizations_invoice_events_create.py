from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.invoice_answer import InvoiceAnswer
from ...models.invoice_event import InvoiceEvent
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    body: InvoiceEvent,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/organizations/{id}/invoice-events".format(
            id=quote(str(id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> InvoiceAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = InvoiceAnswer.from_dict(response.json())

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
) -> Response[InvoiceAnswer | Problem]:
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
    body: InvoiceEvent,
    idempotency_key: str | Unset = UNSET,
) -> Response[InvoiceAnswer | Problem]:
    """Say that an invoice is paid, void or given up.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (InvoiceEvent): What has happened to an invoice: ``paid`` by hand, ``void`` or
            ``uncollectible``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InvoiceAnswer | Problem]
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
    body: InvoiceEvent,
    idempotency_key: str | Unset = UNSET,
) -> InvoiceAnswer | Problem | None:
    """Say that an invoice is paid, void or given up.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (InvoiceEvent): What has happened to an invoice: ``paid`` by hand, ``void`` or
            ``uncollectible``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InvoiceAnswer | Problem
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
    body: InvoiceEvent,
    idempotency_key: str | Unset = UNSET,
) -> Response[InvoiceAnswer | Problem]:
    """Say that an invoice is paid, void or given up.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (InvoiceEvent): What has happened to an invoice: ``paid`` by hand, ``void`` or
            ``uncollectible``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InvoiceAnswer | Problem]
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
    body: InvoiceEvent,
    idempotency_key: str | Unset = UNSET,
) -> InvoiceAnswer | Problem | None:
    """Say that an invoice is paid, void or given up.

    Args:
        id (str):
        idempotency_key (str | Unset):
        body (InvoiceEvent): What has happened to an invoice: ``paid`` by hand, ``void`` or
            ``uncollectible``.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InvoiceAnswer | Problem
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
