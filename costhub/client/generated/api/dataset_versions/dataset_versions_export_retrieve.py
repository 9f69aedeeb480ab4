from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.dataset_versions_export_retrieve_format import (
    DatasetVersionsExportRetrieveFormat,
)
from ...models.dataset_versions_export_retrieve_part import (
    DatasetVersionsExportRetrievePart,
)
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    id: str,
    *,
    format_: DatasetVersionsExportRetrieveFormat | Unset = UNSET,
    part: DatasetVersionsExportRetrievePart | Unset = DatasetVersionsExportRetrievePart.TRAIN,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_format_: str | Unset = UNSET
    if not isinstance(format_, Unset):
        json_format_ = format_.value

    params["format"] = json_format_

    json_part: str | Unset = UNSET
    if not isinstance(part, Unset):
        json_part = part.value

    params["part"] = json_part

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/dataset-versions/{id}/export".format(
            id=quote(str(id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | str | None:
    if response.status_code == 200:
        response_200 = cast(str, response.content)
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
    id: str,
    *,
    client: AuthenticatedClient,
    format_: DatasetVersionsExportRetrieveFormat | Unset = UNSET,
    part: DatasetVersionsExportRetrievePart | Unset = DatasetVersionsExportRetrievePart.TRAIN,
) -> Response[Problem | str]:
    """OpenAI's fine-tuning JSONL of what is learned from, or of what is held out.

    Args:
        id (str):
        format_ (DatasetVersionsExportRetrieveFormat | Unset):
        part (DatasetVersionsExportRetrievePart | Unset):  Default:
            DatasetVersionsExportRetrievePart.TRAIN.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        id=id,
        format_=format_,
        part=part,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    format_: DatasetVersionsExportRetrieveFormat | Unset = UNSET,
    part: DatasetVersionsExportRetrievePart | Unset = DatasetVersionsExportRetrievePart.TRAIN,
) -> Problem | str | None:
    """OpenAI's fine-tuning JSONL of what is learned from, or of what is held out.

    Args:
        id (str):
        format_ (DatasetVersionsExportRetrieveFormat | Unset):
        part (DatasetVersionsExportRetrievePart | Unset):  Default:
            DatasetVersionsExportRetrievePart.TRAIN.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return sync_detailed(
        id=id,
        client=client,
        format_=format_,
        part=part,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    format_: DatasetVersionsExportRetrieveFormat | Unset = UNSET,
    part: DatasetVersionsExportRetrievePart | Unset = DatasetVersionsExportRetrievePart.TRAIN,
) -> Response[Problem | str]:
    """OpenAI's fine-tuning JSONL of what is learned from, or of what is held out.

    Args:
        id (str):
        format_ (DatasetVersionsExportRetrieveFormat | Unset):
        part (DatasetVersionsExportRetrievePart | Unset):  Default:
            DatasetVersionsExportRetrievePart.TRAIN.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        id=id,
        format_=format_,
        part=part,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    format_: DatasetVersionsExportRetrieveFormat | Unset = UNSET,
    part: DatasetVersionsExportRetrievePart | Unset = DatasetVersionsExportRetrievePart.TRAIN,
) -> Problem | str | None:
    """OpenAI's fine-tuning JSONL of what is learned from, or of what is held out.

    Args:
        id (str):
        format_ (DatasetVersionsExportRetrieveFormat | Unset):
        part (DatasetVersionsExportRetrievePart | Unset):  Default:
            DatasetVersionsExportRetrievePart.TRAIN.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            format_=format_,
            part=part,
        )
    ).parsed
