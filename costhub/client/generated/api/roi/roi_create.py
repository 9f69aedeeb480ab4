from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.roi_answer import RoiAnswer
from ...models.roi_body import RoiBody
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: RoiBody | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/roi",
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RoiAnswer | None:
    if response.status_code == 200:
        response_200 = RoiAnswer.from_dict(response.json())

        return response_200

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RoiAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: RoiBody | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | RoiAnswer]:
    """Weigh one change: what an average day costs now and after it, and when what it costs once has come
    back.

    The average day is the ledger's where ``traffic`` is left out. With ``ranges``, or where the ledger
    has several
    weeks, trials say how sure that is.

    Args:
        idempotency_key (str | Unset):
        body (RoiBody | Unset): One scenario by its name, its assumptions in it; the traffic,
            typed or the ledger's; and what is uncertain.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RoiAnswer]
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
    body: RoiBody | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Problem | RoiAnswer | None:
    """Weigh one change: what an average day costs now and after it, and when what it costs once has come
    back.

    The average day is the ledger's where ``traffic`` is left out. With ``ranges``, or where the ledger
    has several
    weeks, trials say how sure that is.

    Args:
        idempotency_key (str | Unset):
        body (RoiBody | Unset): One scenario by its name, its assumptions in it; the traffic,
            typed or the ledger's; and what is uncertain.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RoiAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: RoiBody | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | RoiAnswer]:
    """Weigh one change: what an average day costs now and after it, and when what it costs once has come
    back.

    The average day is the ledger's where ``traffic`` is left out. With ``ranges``, or where the ledger
    has several
    weeks, trials say how sure that is.

    Args:
        idempotency_key (str | Unset):
        body (RoiBody | Unset): One scenario by its name, its assumptions in it; the traffic,
            typed or the ledger's; and what is uncertain.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RoiAnswer]
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
    body: RoiBody | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Problem | RoiAnswer | None:
    """Weigh one change: what an average day costs now and after it, and when what it costs once has come
    back.

    The average day is the ledger's where ``traffic`` is left out. With ``ranges``, or where the ledger
    has several
    weeks, trials say how sure that is.

    Args:
        idempotency_key (str | Unset):
        body (RoiBody | Unset): One scenario by its name, its assumptions in it; the traffic,
            typed or the ledger's; and what is uncertain.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RoiAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
