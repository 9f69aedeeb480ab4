from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.spend_focus_retrieve_format import SpendFocusRetrieveFormat
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    format_: SpendFocusRetrieveFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    month: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_.value

    params["format"] = json_format_

    params["from"] = from_

    params["month"] = month

    params["to"] = to

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/spend/focus",
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | str | None:
    if response.status_code == 200:
        response_200 = response.text
        return response_200

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    format_: SpendFocusRetrieveFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    month: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[Problem | str]:
    """The current month so far, ``from`` to ``to``, or a ``month`` as its invoice has it, as one CSV.
    Months of
    invoices have neither gap nor overlap, whatever time zones the organisation was in.

    Args:
        format_ (SpendFocusRetrieveFormat | Unset):
        from_ (str | Unset):
        month (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        format_=format_,
        from_=from_,
        month=month,
        to=to,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    format_: SpendFocusRetrieveFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    month: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Problem | str | None:
    """The current month so far, ``from`` to ``to``, or a ``month`` as its invoice has it, as one CSV.
    Months of
    invoices have neither gap nor overlap, whatever time zones the organisation was in.

    Args:
        format_ (SpendFocusRetrieveFormat | Unset):
        from_ (str | Unset):
        month (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return sync_detailed(
        client=client,
        format_=format_,
        from_=from_,
        month=month,
        to=to,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    format_: SpendFocusRetrieveFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    month: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Response[Problem | str]:
    """The current month so far, ``from`` to ``to``, or a ``month`` as its invoice has it, as one CSV.
    Months of
    invoices have neither gap nor overlap, whatever time zones the organisation was in.

    Args:
        format_ (SpendFocusRetrieveFormat | Unset):
        from_ (str | Unset):
        month (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        format_=format_,
        from_=from_,
        month=month,
        to=to,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    format_: SpendFocusRetrieveFormat | Unset = UNSET,
    from_: str | Unset = UNSET,
    month: str | Unset = UNSET,
    to: str | Unset = UNSET,
) -> Problem | str | None:
    """The current month so far, ``from`` to ``to``, or a ``month`` as its invoice has it, as one CSV.
    Months of
    invoices have neither gap nor overlap, whatever time zones the organisation was in.

    Args:
        format_ (SpendFocusRetrieveFormat | Unset):
        from_ (str | Unset):
        month (str | Unset):
        to (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return (
        await asyncio_detailed(
            client=client,
            format_=format_,
            from_=from_,
            month=month,
            to=to,
        )
    ).parsed
