from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.call_page import CallPage
from ...models.problem import Problem
from ...models.v1_requests_list_format import V1RequestsListFormat
from ...models.v1_requests_list_sort import V1RequestsListSort
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    cursor: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    format_: V1RequestsListFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    limit: int | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    sort: V1RequestsListSort | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    params["end_user"] = end_user

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_.value

    params["format"] = json_format_

    params["from"] = from_

    params["id"] = id

    params["key"] = key

    params["limit"] = limit

    params["model"] = model

    params["project"] = project

    json_sort: str | Unset = UNSET
    if not isinstance(sort, Unset):
        json_sort = sort.value

    params["sort"] = json_sort

    params["status"] = status

    params["tag"] = tag

    params["to"] = to

    params["upstream"] = upstream

    params["without"] = without

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/requests",
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> CallPage | Problem | None:
    if response.status_code == 200:
        response_200 = CallPage.from_dict(response.json())

        return response_200

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[CallPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    format_: V1RequestsListFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    limit: int | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    sort: V1RequestsListSort | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Response[CallPage | Problem]:
    """Calls, newest first unless another order is asked for; with ``Accept: text/csv`` or ``format=csv``
    all of
    them as a table.

    Args:
        cursor (str | Unset):
        end_user (str | Unset):
        format_ (V1RequestsListFormat | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        limit (int | Unset):
        model (str | Unset):
        project (str | Unset):
        sort (V1RequestsListSort | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CallPage | Problem]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        end_user=end_user,
        format_=format_,
        from_=from_,
        id=id,
        key=key,
        limit=limit,
        model=model,
        project=project,
        sort=sort,
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
    cursor: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    format_: V1RequestsListFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    limit: int | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    sort: V1RequestsListSort | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> CallPage | Problem | None:
    """Calls, newest first unless another order is asked for; with ``Accept: text/csv`` or ``format=csv``
    all of
    them as a table.

    Args:
        cursor (str | Unset):
        end_user (str | Unset):
        format_ (V1RequestsListFormat | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        limit (int | Unset):
        model (str | Unset):
        project (str | Unset):
        sort (V1RequestsListSort | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CallPage | Problem
    """

    return sync_detailed(
        client=client,
        cursor=cursor,
        end_user=end_user,
        format_=format_,
        from_=from_,
        id=id,
        key=key,
        limit=limit,
        model=model,
        project=project,
        sort=sort,
        status=status,
        tag=tag,
        to=to,
        upstream=upstream,
        without=without,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    format_: V1RequestsListFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    limit: int | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    sort: V1RequestsListSort | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> Response[CallPage | Problem]:
    """Calls, newest first unless another order is asked for; with ``Accept: text/csv`` or ``format=csv``
    all of
    them as a table.

    Args:
        cursor (str | Unset):
        end_user (str | Unset):
        format_ (V1RequestsListFormat | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        limit (int | Unset):
        model (str | Unset):
        project (str | Unset):
        sort (V1RequestsListSort | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CallPage | Problem]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        end_user=end_user,
        format_=format_,
        from_=from_,
        id=id,
        key=key,
        limit=limit,
        model=model,
        project=project,
        sort=sort,
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
    cursor: str | Unset = UNSET,
    end_user: str | Unset = UNSET,
    format_: V1RequestsListFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    id: str | Unset = UNSET,
    key: str | Unset = UNSET,
    limit: int | Unset = UNSET,
    model: str | Unset = UNSET,
    project: str | Unset = UNSET,
    sort: V1RequestsListSort | Unset = UNSET,
    status: str | Unset = UNSET,
    tag: str | Unset = UNSET,
    to: str | Unset = UNSET,
    upstream: str | Unset = UNSET,
    without: str | Unset = UNSET,
) -> CallPage | Problem | None:
    """Calls, newest first unless another order is asked for; with ``Accept: text/csv`` or ``format=csv``
    all of
    them as a table.

    Args:
        cursor (str | Unset):
        end_user (str | Unset):
        format_ (V1RequestsListFormat | Unset):
        from_ (str | Unset):
        id (str | Unset):
        key (str | Unset):
        limit (int | Unset):
        model (str | Unset):
        project (str | Unset):
        sort (V1RequestsListSort | Unset):
        status (str | Unset):
        tag (str | Unset):
        to (str | Unset):
        upstream (str | Unset):
        without (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CallPage | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            cursor=cursor,
            end_user=end_user,
            format_=format_,
            from_=from_,
            id=id,
            key=key,
            limit=limit,
            model=model,
            project=project,
            sort=sort,
            status=status,
            tag=tag,
            to=to,
            upstream=upstream,
            without=without,
        )
    ).parsed
