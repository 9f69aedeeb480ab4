from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.bridge_answer import BridgeAnswer
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    before_from: str | Unset = UNSET,
    before_to: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["before_from"] = before_from

    params["before_to"] = before_to

    params["end_user"] = end_user

    params["from"] = from_

    params["key"] = key

    params["model"] = model

    params["project"] = project

    params["tag"] = tag

    params["to"] = to

    params["upstream"] = upstream

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/spend/bridge",
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> BridgeAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = BridgeAnswer.from_dict(response.json())

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
) -> Response[BridgeAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    before_from: str | Unset = UNSET,
    before_to: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
) -> Response[BridgeAnswer | Problem]:
    """What the current month so far, or ``from`` to ``to``, cost more than the period before, by cause.

    The period before is the same stretch of the previous month where no bounds are given, else one of
    the same
    length that ends where this one begins.

    Args:
        before_from (str | Unset):
        before_to (str | Unset):
        end_user (str | Unset):
        from_ (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BridgeAnswer | Problem]
    """

    kwargs = _get_kwargs(
        before_from=before_from,
        before_to=before_to,
        end_user=end_user,
        from_=from_,
        key=key,
        model=model,
        project=project,
        tag=tag,
        to=to,
        upstream=upstream,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    before_from: str | Unset = UNSET,
    before_to: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
) -> BridgeAnswer | Problem | None:
    """What the current month so far, or ``from`` to ``to``, cost more than the period before, by cause.

    The period before is the same stretch of the previous month where no bounds are given, else one of
    the same
    length that ends where this one begins.

    Args:
        before_from (str | Unset):
        before_to (str | Unset):
        end_user (str | Unset):
        from_ (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BridgeAnswer | Problem
    """

    return sync_detailed(
        client=client,
        before_from=before_from,
        before_to=before_to,
        end_user=end_user,
        from_=from_,
        key=key,
        model=model,
        project=project,
        tag=tag,
        to=to,
        upstream=upstream,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    before_from: str | Unset = UNSET,
    before_to: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
) -> Response[BridgeAnswer | Problem]:
    """What the current month so far, or ``from`` to ``to``, cost more than the period before, by cause.

    The period before is the same stretch of the previous month where no bounds are given, else one of
    the same
    length that ends where this one begins.

    Args:
        before_from (str | Unset):
        before_to (str | Unset):
        end_user (str | Unset):
        from_ (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BridgeAnswer | Problem]
    """

    kwargs = _get_kwargs(
        before_from=before_from,
        before_to=before_to,
        end_user=end_user,
        from_=from_,
        key=key,
        model=model,
        project=project,
        tag=tag,
        to=to,
        upstream=upstream,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    before_from: str | Unset = UNSET,
    before_to: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
) -> BridgeAnswer | Problem | None:
    """What the current month so far, or ``from`` to ``to``, cost more than the period before, by cause.

    The period before is the same stretch of the previous month where no bounds are given, else one of
    the same
    length that ends where this one begins.

    Args:
        before_from (str | Unset):
        before_to (str | Unset):
        end_user (str | Unset):
        from_ (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BridgeAnswer | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            before_from=before_from,
            before_to=before_to,
            end_user=end_user,
            from_=from_,
            key=key,
            model=model,
            project=project,
            tag=tag,
            to=to,
            upstream=upstream,
        )
    ).parsed
