from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.invoices_document_form import InvoicesDocumentForm
from ...models.invoices_document_format import InvoicesDocumentFormat
from ...models.problem import Problem
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    id: str,
    form: InvoicesDocumentForm,
    *,
    format_: InvoicesDocumentFormat | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_.value

    params["format"] = json_format_

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/invoices/{id}/{form}".format(
            id=quote(str(id), safe=""),
            form=quote(str(form), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> File | Problem | None:
    if response.status_code == 200:
        response_200 = File(payload=BytesIO(response.content))

        return response_200

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[File | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    id: str,
    form: InvoicesDocumentForm,
    *,
    client: AuthenticatedClient,
    format_: InvoicesDocumentFormat | Unset = UNSET,
) -> Response[File | Problem]:
    """The issued document: the same bytes each time.

    Args:
        id (str):
        form (InvoicesDocumentForm):
        format_ (InvoicesDocumentFormat | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        form=form,
        format_=format_,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    form: InvoicesDocumentForm,
    *,
    client: AuthenticatedClient,
    format_: InvoicesDocumentFormat | Unset = UNSET,
) -> File | Problem | None:
    """The issued document: the same bytes each time.

    Args:
        id (str):
        form (InvoicesDocumentForm):
        format_ (InvoicesDocumentFormat | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return sync_detailed(
        id=id,
        form=form,
        client=client,
        format_=format_,
    ).parsed


async def asyncio_detailed(
    id: str,
    form: InvoicesDocumentForm,
    *,
    client: AuthenticatedClient,
    format_: InvoicesDocumentFormat | Unset = UNSET,
) -> Response[File | Problem]:
    """The issued document: the same bytes each time.

    Args:
        id (str):
        form (InvoicesDocumentForm):
        format_ (InvoicesDocumentFormat | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        id=id,
        form=form,
        format_=format_,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    form: InvoicesDocumentForm,
    *,
    client: AuthenticatedClient,
    format_: InvoicesDocumentFormat | Unset = UNSET,
) -> File | Problem | None:
    """The issued document: the same bytes each time.

    Args:
        id (str):
        form (InvoicesDocumentForm):
        format_ (InvoicesDocumentFormat | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return (
        await asyncio_detailed(
            id=id,
            form=form,
            client=client,
            format_=format_,
        )
    ).parsed
