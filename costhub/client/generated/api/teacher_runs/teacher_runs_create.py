from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_teacher_run import NewTeacherRun
from ...models.problem import Problem
from ...models.teacher_run_answer import TeacherRunAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewTeacherRun,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/teacher-runs",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | TeacherRunAnswer | None:
    if response.status_code == 201:
        response_201 = TeacherRunAnswer.from_dict(response.json())

        return response_201

    if 400 <= response.status_code <= 499:
        response_4xx = Problem.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Problem | TeacherRunAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewTeacherRun,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | TeacherRunAnswer]:
    """Have the teacher answer prompts, or a model judge its answers, through the proxy and within the
    key's
    budgets.

    Args:
        idempotency_key (str | Unset):
        body (NewTeacherRun): ``prompts``: a JSON object with ``messages`` a line, and ``gold``
            where what is right is known; or ``judge``: a
            model or route that judges the dataset's answers. ``api_key``: who calls, and whose
            budgets hold. ``cap``: the most
            that the run may cost, decimal USD.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | TeacherRunAnswer]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: NewTeacherRun,
    idempotency_key: str | Unset = UNSET,
) -> Problem | TeacherRunAnswer | None:
    """Have the teacher answer prompts, or a model judge its answers, through the proxy and within the
    key's
    budgets.

    Args:
        idempotency_key (str | Unset):
        body (NewTeacherRun): ``prompts``: a JSON object with ``messages`` a line, and ``gold``
            where what is right is known; or ``judge``: a
            model or route that judges the dataset's answers. ``api_key``: who calls, and whose
            budgets hold. ``cap``: the most
            that the run may cost, decimal USD.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | TeacherRunAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewTeacherRun,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | TeacherRunAnswer]:
    """Have the teacher answer prompts, or a model judge its answers, through the proxy and within the
    key's
    budgets.

    Args:
        idempotency_key (str | Unset):
        body (NewTeacherRun): ``prompts``: a JSON object with ``messages`` a line, and ``gold``
            where what is right is known; or ``judge``: a
            model or route that judges the dataset's answers. ``api_key``: who calls, and whose
            budgets hold. ``cap``: the most
            that the run may cost, decimal USD.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | TeacherRunAnswer]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: NewTeacherRun,
    idempotency_key: str | Unset = UNSET,
) -> Problem | TeacherRunAnswer | None:
    """Have the teacher answer prompts, or a model judge its answers, through the proxy and within the
    key's
    budgets.

    Args:
        idempotency_key (str | Unset):
        body (NewTeacherRun): ``prompts``: a JSON object with ``messages`` a line, and ``gold``
            where what is right is known; or ``judge``: a
            model or route that judges the dataset's answers. ``api_key``: who calls, and whose
            budgets hold. ``cap``: the most
            that the run may cost, decimal USD.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | TeacherRunAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
