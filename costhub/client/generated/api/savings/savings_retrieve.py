from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.savings_answer import SavingsAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["end_user"] = end_user

    params["from"] = from_

    params["id"] = id

    params["key"] = key

    params["model"] = model

    params["project"] = project

    params["status"] = status

    params["tag"] = tag

    params["to"] = to

    params["upstream"] = upstream

    params["without"] = without

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/savings",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | SavingsAnswer | None:
    if response.status_code == 200:
        response_200 = SavingsAnswer.from_dict(response.json())

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
) -> Response[Problem | SavingsAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Response[Problem | SavingsAnswer]:
    """What was saved in the current month, or from ``from`` to ``to``.

    Args:
        end_user (str | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SavingsAnswer]
    """

    kwargs = _get_kwargs(
        end_user=end_user,
        from_=from_,
        id=id,
        key=key,
        model=model,
        project=project,
        status=status,
        tag=tag,
        to=to,
        upstream=upstream,
        without=without,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Problem | SavingsAnswer | None:
    """What was saved in the current month, or from ``from`` to ``to``.

    Args:
        end_user (str | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SavingsAnswer
    """

    return sync_detailed(
        client=client,
        end_user=end_user,
        from_=from_,
        id=id,
        key=key,
        model=model,
        project=project,
        status=status,
        tag=tag,
        to=to,
        upstream=upstream,
        without=without,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Response[Problem | SavingsAnswer]:
    """What was saved in the current month, or from ``from`` to ``to``.

    Args:
        end_user (str | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | SavingsAnswer]
    """

    kwargs = _get_kwargs(
        end_user=end_user,
        from_=from_,
        id=id,
        key=key,
        model=model,
        project=project,
        status=status,
        tag=tag,
        to=to,
        upstream=upstream,
        without=without,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    end_user: str | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Problem | SavingsAnswer | None:
    """What was saved in the current month, or from ``from`` to ``to``.

    Args:
        end_user (str | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        model (str | Unset):
        project (str | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | SavingsAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            end_user=end_user,
            from_=from_,
            id=id,
            key=key,
            model=model,
            project=project,
            status=status,
            tag=tag,
            to=to,
            upstream=upstream,
            without=without,
        )
    ).parsed
