from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.kept_answer import KeptAnswer
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["from"] = from_

    params["range"] = range_

    params["to"] = to

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/compression-policies/{id}/kept".format(
            id=quote(str(id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> KeptAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = KeptAnswer.from_dict(response.json())

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
) -> Response[KeptAnswer | Problem]:
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
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[KeptAnswer | Problem]:
    """What its calls would have cost with each share of words and of passages kept, and what public texts
    kept at
    those that were measured.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[KeptAnswer | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        from_=from_,
        range_=range_,
        to=to,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> KeptAnswer | Problem | None:
    """What its calls would have cost with each share of words and of passages kept, and what public texts
    kept at
    those that were measured.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        KeptAnswer | Problem
    """

    return sync_detailed(
        id=id,
        client=client,
        from_=from_,
        range_=range_,
        to=to,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[KeptAnswer | Problem]:
    """What its calls would have cost with each share of words and of passages kept, and what public texts
    kept at
    those that were measured.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[KeptAnswer | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        from_=from_,
        range_=range_,
        to=to,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    from_: str | Unset = UNSET,
    range_: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> KeptAnswer | Problem | None:
    """What its calls would have cost with each share of words and of passages kept, and what public texts
    kept at
    those that were measured.

    Args:
        id (str):
        from_ (str | Unset):
        range_ (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        KeptAnswer | Problem
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            from_=from_,
            range_=range_,
            to=to,
        )
    ).parsed
