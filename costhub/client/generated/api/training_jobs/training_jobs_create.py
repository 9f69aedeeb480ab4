from http import HTTPStatus
from typing import Any

import httpx2 as httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_training_job import NewTrainingJob
from ...models.problem import Problem
from ...models.training_job_answer import TrainingJobAnswer
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewTrainingJob,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/training-jobs",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | TrainingJobAnswer | None:
    if response.status_code == 201:
        response_201 = TrainingJobAnswer.from_dict(response.json())

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
) -> Response[Problem | TrainingJobAnswer]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewTrainingJob,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | TrainingJobAnswer]:
    """Have a student trained on a version whose answers are labels, or an adapter of a language model.

    Args:
        idempotency_key (str | Unset):
        body (NewTrainingJob): What a job is made of. ``kind`` head trains a classifier of
            questions, encoder one with an encoder of its own
            under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``,
            of this ``rank``, on any
            answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an
            hour of the worker costs the
            project; ``most``: USD that the whole job may.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | TrainingJobAnswer]
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
    body: NewTrainingJob,
    idempotency_key: str | Unset = UNSET,
) -> Problem | TrainingJobAnswer | None:
    """Have a student trained on a version whose answers are labels, or an adapter of a language model.

    Args:
        idempotency_key (str | Unset):
        body (NewTrainingJob): What a job is made of. ``kind`` head trains a classifier of
            questions, encoder one with an encoder of its own
            under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``,
            of this ``rank``, on any
            answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an
            hour of the worker costs the
            project; ``most``: USD that the whole job may.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | TrainingJobAnswer
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewTrainingJob,
    idempotency_key: str | Unset = UNSET,
) -> Response[Problem | TrainingJobAnswer]:
    """Have a student trained on a version whose answers are labels, or an adapter of a language model.

    Args:
        idempotency_key (str | Unset):
        body (NewTrainingJob): What a job is made of. ``kind`` head trains a classifier of
            questions, encoder one with an encoder of its own
            under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``,
            of this ``rank``, on any
            answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an
            hour of the worker costs the
            project; ``most``: USD that the whole job may.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | TrainingJobAnswer]
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
    body: NewTrainingJob,
    idempotency_key: str | Unset = UNSET,
) -> Problem | TrainingJobAnswer | None:
    """Have a student trained on a version whose answers are labels, or an adapter of a language model.

    Args:
        idempotency_key (str | Unset):
        body (NewTrainingJob): What a job is made of. ``kind`` head trains a classifier of
            questions, encoder one with an encoder of its own
            under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``,
            of this ``rank``, on any
            answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an
            hour of the worker costs the
            project; ``most``: USD that the whole job may.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | TrainingJobAnswer
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
