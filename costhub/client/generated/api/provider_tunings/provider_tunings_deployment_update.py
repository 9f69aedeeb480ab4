from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_provider_deployment import NewProviderDeployment
from ...models.problem import Problem
from ...models.provider_tuning_answer import ProviderTuningAnswer
from ...types import Response


def _get_kwargs(
    id: str,
    *,
    body: NewProviderDeployment,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/api/v1/provider-tunings/{id}/deployment".format(
            id=quote(str(id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | ProviderTuningAnswer | None:
    if response.status_code == 200:
        response_200 = ProviderTuningAnswer.from_dict(response.json())

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
) -> Response[Problem | ProviderTuningAnswer]:
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
    body: NewProviderDeployment,
) -> Response[Problem | ProviderTuningAnswer]:
    """Compare the model that came of it with its teacher, and have a route follow what comes of that.

    Args:
        id (str):
        body (NewProviderDeployment): Who asks it on paper, and what that may cost at the most,
            USD. Calls of the name ``route`` ask it first, as far
            as it is trusted, and its teacher where it is not sure.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | ProviderTuningAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    id: str,
    *,
    client: AuthenticatedClient,
    body: NewProviderDeployment,
) -> Problem | ProviderTuningAnswer | None:
    """Compare the model that came of it with its teacher, and have a route follow what comes of that.

    Args:
        id (str):
        body (NewProviderDeployment): Who asks it on paper, and what that may cost at the most,
            USD. Calls of the name ``route`` ask it first, as far
            as it is trusted, and its teacher where it is not sure.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | ProviderTuningAnswer
    """

    return sync_detailed(
        id=id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    id: str,
    *,
    client: AuthenticatedClient,
    body: NewProviderDeployment,
) -> Response[Problem | ProviderTuningAnswer]:
    """Compare the model that came of it with its teacher, and have a route follow what comes of that.

    Args:
        id (str):
        body (NewProviderDeployment): Who asks it on paper, and what that may cost at the most,
            USD. Calls of the name ``route`` ask it first, as far
            as it is trusted, and its teacher where it is not sure.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | ProviderTuningAnswer]
    """

    kwargs = _get_kwargs(
        id=id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    id: str,
    *,
    client: AuthenticatedClient,
    body: NewProviderDeployment,
) -> Problem | ProviderTuningAnswer | None:
    """Compare the model that came of it with its teacher, and have a route follow what comes of that.

    Args:
        id (str):
        body (NewProviderDeployment): Who asks it on paper, and what that may cost at the most,
            USD. Calls of the name ``route`` ask it first, as far
            as it is trusted, and its teacher where it is not sure.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | ProviderTuningAnswer
    """

    return (
        await asyncio_detailed(
            id=id,
            client=client,
            body=body,
        )
    ).parsed
