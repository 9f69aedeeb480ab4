from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_price_adjustment import NewPriceAdjustment
from ...models.price_adjustment_answer import PriceAdjustmentAnswer
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewPriceAdjustment,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/price-adjustments",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PriceAdjustmentAnswer | Problem | None:
    if response.status_code == 201:
        response_201 = PriceAdjustmentAnswer.from_dict(response.json())

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
) -> Response[PriceAdjustmentAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewPriceAdjustment,
    idempotency_key: str | Unset = UNSET,
) -> Response[PriceAdjustmentAnswer | Problem]:
    """Set a discount or mark-up. It holds until the next one; 0 per cent is the list price again.

    Args:
        idempotency_key (str | Unset):
        body (NewPriceAdjustment): What one is made of; either ``model`` or ``upstream``, by name
            or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PriceAdjustmentAnswer | Problem]
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
    body: NewPriceAdjustment,
    idempotency_key: str | Unset = UNSET,
) -> PriceAdjustmentAnswer | Problem | None:
    """Set a discount or mark-up. It holds until the next one; 0 per cent is the list price again.

    Args:
        idempotency_key (str | Unset):
        body (NewPriceAdjustment): What one is made of; either ``model`` or ``upstream``, by name
            or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PriceAdjustmentAnswer | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewPriceAdjustment,
    idempotency_key: str | Unset = UNSET,
) -> Response[PriceAdjustmentAnswer | Problem]:
    """Set a discount or mark-up. It holds until the next one; 0 per cent is the list price again.

    Args:
        idempotency_key (str | Unset):
        body (NewPriceAdjustment): What one is made of; either ``model`` or ``upstream``, by name
            or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PriceAdjustmentAnswer | Problem]
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
    body: NewPriceAdjustment,
    idempotency_key: str | Unset = UNSET,
) -> PriceAdjustmentAnswer | Problem | None:
    """Set a discount or mark-up. It holds until the next one; 0 per cent is the list price again.

    Args:
        idempotency_key (str | Unset):
        body (NewPriceAdjustment): What one is made of; either ``model`` or ``upstream``, by name
            or id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PriceAdjustmentAnswer | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
