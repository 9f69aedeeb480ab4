from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.reconciled_answer import ReconciledAnswer
from ...models.upstream_bill import UpstreamBill
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: UpstreamBill | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/upstream-bills",
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | ReconciledAnswer | None:
    if response.status_code == 200:
        response_200 = ReconciledAnswer.from_dict(response.json())

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
) -> Response[Problem | ReconciledAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: UpstreamBill | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | ReconciledAnswer]:
    """Hold a bill against the ledger of its days.

    Args:
        idempotency_key (str | Unset):
        body (UpstreamBill | Unset): A bill: the answer of OpenAI's costs or usage API, or a
            table. ``upstream`` by name or id, all unless given.
            ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and
            ``output_tokens``, where it
            calls them otherwise.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | ReconciledAnswer]
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
    body: UpstreamBill | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Problem | ReconciledAnswer | None:
    """Hold a bill against the ledger of its days.

    Args:
        idempotency_key (str | Unset):
        body (UpstreamBill | Unset): A bill: the answer of OpenAI's costs or usage API, or a
            table. ``upstream`` by name or id, all unless given.
            ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and
            ``output_tokens``, where it
            calls them otherwise.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | ReconciledAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: UpstreamBill | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | ReconciledAnswer]:
    """Hold a bill against the ledger of its days.

    Args:
        idempotency_key (str | Unset):
        body (UpstreamBill | Unset): A bill: the answer of OpenAI's costs or usage API, or a
            table. ``upstream`` by name or id, all unless given.
            ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and
            ``output_tokens``, where it
            calls them otherwise.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | ReconciledAnswer]
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
    body: UpstreamBill | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Problem | ReconciledAnswer | None:
    """Hold a bill against the ledger of its days.

    Args:
        idempotency_key (str | Unset):
        body (UpstreamBill | Unset): A bill: the answer of OpenAI's costs or usage API, or a
            table. ``upstream`` by name or id, all unless given.
            ``columns``: what the table calls ``day``, ``model``, ``cost``, ``input_tokens`` and
            ``output_tokens``, where it
            calls them otherwise.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | ReconciledAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
