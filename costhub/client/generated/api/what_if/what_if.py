from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.what_if_answer import WhatIfAnswer
from ...models.what_if_body import WhatIfBody
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: WhatIfBody,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/what-if",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | WhatIfAnswer | None:
    if response.status_code == 200:
        response_200 = WhatIfAnswer.from_dict(response.json())

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
) -> Response[Problem | WhatIfAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: WhatIfBody,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | WhatIfAnswer]:
    """What they would have cost.

    Args:
        idempotency_key (str | Unset):
        body (WhatIfBody): Past calls of a model or route, and the policy that they are replayed
            under. ``to`` is another model, or a route
            of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given
            changes; the two
            prices, in USD for a million tokens, go together, and without ``to``.
            ``confidence_percent`` is of a cascade, and goes with none of the others.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WhatIfAnswer]
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
    body: WhatIfBody,
    idempotency_key: str | Unset = UNSET,
) -> Problem | WhatIfAnswer | None:
    """What they would have cost.

    Args:
        idempotency_key (str | Unset):
        body (WhatIfBody): Past calls of a model or route, and the policy that they are replayed
            under. ``to`` is another model, or a route
            of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given
            changes; the two
            prices, in USD for a million tokens, go together, and without ``to``.
            ``confidence_percent`` is of a cascade, and goes with none of the others.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WhatIfAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: WhatIfBody,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | WhatIfAnswer]:
    """What they would have cost.

    Args:
        idempotency_key (str | Unset):
        body (WhatIfBody): Past calls of a model or route, and the policy that they are replayed
            under. ``to`` is another model, or a route
            of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given
            changes; the two
            prices, in USD for a million tokens, go together, and without ``to``.
            ``confidence_percent`` is of a cascade, and goes with none of the others.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WhatIfAnswer]
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
    body: WhatIfBody,
    idempotency_key: str | Unset = UNSET,
) -> Problem | WhatIfAnswer | None:
    """What they would have cost.

    Args:
        idempotency_key (str | Unset):
        body (WhatIfBody): Past calls of a model or route, and the policy that they are replayed
            under. ``to`` is another model, or a route
            of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given
            changes; the two
            prices, in USD for a million tokens, go together, and without ``to``.
            ``confidence_percent`` is of a cascade, and goes with none of the others.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WhatIfAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
