from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.budget_use_retrieve_scope import BudgetUseRetrieveScope
from ...models.problem import Problem
from ...models.standings_answer import StandingsAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    scope: BudgetUseRetrieveScope | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_scope: str | Unset = UNSET
    if not isinstance(scope, Unset):
        json_scope = scope.value

    params["scope"] = json_scope

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/budget-use",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | StandingsAnswer | None:
    if response.status_code == 200:
        response_200 = StandingsAnswer.from_dict(response.json())

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
) -> Response[Problem | StandingsAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    scope: BudgetUseRetrieveScope | Unset = UNSET,
) -> Response[Problem | StandingsAnswer]:
    """What is spent, held and left of every budget now, and when it resets.

    Args:
        scope (BudgetUseRetrieveScope | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | StandingsAnswer]
    """

    kwargs = _get_kwargs(
        scope=scope,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    scope: BudgetUseRetrieveScope | Unset = UNSET,
) -> Problem | StandingsAnswer | None:
    """What is spent, held and left of every budget now, and when it resets.

    Args:
        scope (BudgetUseRetrieveScope | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | StandingsAnswer
    """

    return sync_detailed(
        client=client,
        scope=scope,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    scope: BudgetUseRetrieveScope | Unset = UNSET,
) -> Response[Problem | StandingsAnswer]:
    """What is spent, held and left of every budget now, and when it resets.

    Args:
        scope (BudgetUseRetrieveScope | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | StandingsAnswer]
    """

    kwargs = _get_kwargs(
        scope=scope,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    scope: BudgetUseRetrieveScope | Unset = UNSET,
) -> Problem | StandingsAnswer | None:
    """What is spent, held and left of every budget now, and when it resets.

    Args:
        scope (BudgetUseRetrieveScope | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | StandingsAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            scope=scope,
        )
    ).parsed
