from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.account_answer import AccountAnswer
from ...models.new_bucket import NewBucket
from ...models.problem import Problem
from ...types import Response


def _get_kwargs(
    *,
    body: NewBucket,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/api/v1/billing-account/bucket",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> AccountAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = AccountAnswer.from_dict(response.json())

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
) -> Response[AccountAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewBucket,
) -> Response[AccountAnswer | Problem]:
    """Have the month's papers put there from now on; in place of where they went before.

    Args:
        body (NewBucket): A bucket of S3's kind that the month's papers are put into:
            ``https://endpoint/bucket``, with a prefix or
            without, and a key that may put objects there. The secret is never shown.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AccountAnswer | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: NewBucket,
) -> AccountAnswer | Problem | None:
    """Have the month's papers put there from now on; in place of where they went before.

    Args:
        body (NewBucket): A bucket of S3's kind that the month's papers are put into:
            ``https://endpoint/bucket``, with a prefix or
            without, and a key that may put objects there. The secret is never shown.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        AccountAnswer | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewBucket,
) -> Response[AccountAnswer | Problem]:
    """Have the month's papers put there from now on; in place of where they went before.

    Args:
        body (NewBucket): A bucket of S3's kind that the month's papers are put into:
            ``https://endpoint/bucket``, with a prefix or
            without, and a key that may put objects there. The secret is never shown.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[AccountAnswer | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: NewBucket,
) -> AccountAnswer | Problem | None:
    """Have the month's papers put there from now on; in place of where they went before.

    Args:
        body (NewBucket): A bucket of S3's kind that the month's papers are put into:
            ``https://endpoint/bucket``, with a prefix or
            without, and a key that may put objects there. The secret is never shown.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        AccountAnswer | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
