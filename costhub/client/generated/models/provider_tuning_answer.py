from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.job_state import JobState
from ..models.stage_enum import StageEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="ProviderTuningAnswer")


@_attrs_define
class ProviderTuningAnswer:
    """One that a provider has, or is to have: how far it is by the provider's own words, what is held for it, and what
    it has cost. ``error`` is what it waits for, or why it ended.

    Of what came of it: how far it is trusted by calls of ``route``, what came of comparing it with the teacher, what
    that may cost and has (``cap``, ``compared_for``), and in ``warnings`` why nobody notices whether it still agrees.
    ``threshold`` above 1: nobody knows yet how sure it must be.

        Attributes:
            id (UUID): the row's id
            version (str): a version, by id
            upstream (UUID): an upstream, by id; where it is written also by name
            project (UUID): a project, by id; where it is written also by name
            name (str): a name for people
            base_model (str): the language model that is trained on, by the provider's or the operator's name
            per_million (str): USD per million trained tokens
            events (list[str]): the provider's newest words about it
            held (str): what is held for calls under way, decimal USD; null while the counters cannot be read
            spent (str): what is spent of it so far, decimal USD
            cap (None | str): the most that comparing it may cost, decimal USD; null: it was not compared
            compared_for (str): what comparing it has cost by now, decimal USD
            warnings (list[str]): In plain sentences.
            created_at (datetime.datetime): when it was made
            epochs (int | Unset): how often all examples are gone through
            most_tokens (int | Unset): the most tokens that it can train on, all epochs
            state (JobState | Unset):
            error (str | Unset): what went wrong, or what it waits for; empty if nothing
            remote_job (str | Unset): the provider's name of the job; empty: it is not there yet
            remote_model (str | Unset): the provider's name for the trained model; empty: none yet
            remote_state (str | Unset): the provider's word for how far it is
            trained_tokens (int | Unset): tokens that it was trained on; null: not known yet
            route (str | Unset): a route, by name
            stage (StageEnum | Unset):
            reason (str | Unset): why, in words
            floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
            threshold (float | Unset): the threshold that was crossed; null: there is none
            canary_percent (int | Unset): how many of the questions go to it in the stage canary
            compared (int | Unset): how many calls it was compared with its teacher on since
            answered (int | Unset): how many were answered
            agreed (int | Unset): of these, how many it answered as its teacher did
            ended_at (datetime.datetime | None | Unset): when it ended; null: it has not
    """

    id: UUID
    version: str
    upstream: UUID
    project: UUID
    name: str
    base_model: str
    per_million: str
    events: list[str]
    held: str
    spent: str
    cap: None | str
    compared_for: str
    warnings: list[str]
    created_at: datetime.datetime
    epochs: int | Unset = UNSET
    most_tokens: int | Unset = UNSET
    state: JobState | Unset = UNSET
    error: str | Unset = UNSET
    remote_job: str | Unset = UNSET
    remote_model: str | Unset = UNSET
    remote_state: str | Unset = UNSET
    trained_tokens: int | Unset = UNSET
    route: str | Unset = UNSET
    stage: StageEnum | Unset = UNSET
    reason: str | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    threshold: float | Unset = UNSET
    canary_percent: int | Unset = UNSET
    compared: int | Unset = UNSET
    answered: int | Unset = UNSET
    agreed: int | Unset = UNSET
    ended_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        version = self.version

        upstream = str(self.upstream)

        project = str(self.project)

        name = self.name

        base_model = self.base_model

        per_million = self.per_million

        events = self.events

        held = self.held

        spent = self.spent

        cap: None | str
        cap = self.cap

        compared_for = self.compared_for

        warnings = self.warnings

        created_at = self.created_at.isoformat()

        epochs = self.epochs

        most_tokens = self.most_tokens

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        error = self.error

        remote_job = self.remote_job

        remote_model = self.remote_model

        remote_state = self.remote_state

        trained_tokens = self.trained_tokens

        route = self.route

        stage: str | Unset = UNSET
        if not isinstance(self.stage, Unset):
            stage = self.stage.value

        reason = self.reason

        floor_per_mille = self.floor_per_mille

        threshold = self.threshold

        canary_percent = self.canary_percent

        compared = self.compared

        answered = self.answered

        agreed = self.agreed

        ended_at: None | str | Unset
        if isinstance(self.ended_at, Unset):
            ended_at = UNSET
        elif isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "version": version,
                "upstream": upstream,
                "project": project,
                "name": name,
                "base_model": base_model,
                "per_million": per_million,
                "events": events,
                "held": held,
                "spent": spent,
                "cap": cap,
                "compared_for": compared_for,
                "warnings": warnings,
                "created_at": created_at,
            }
        )
        if epochs is not UNSET:
            field_dict["epochs"] = epochs
        if most_tokens is not UNSET:
            field_dict["most_tokens"] = most_tokens
        if state is not UNSET:
            field_dict["state"] = state
        if error is not UNSET:
            field_dict["error"] = error
        if remote_job is not UNSET:
            field_dict["remote_job"] = remote_job
        if remote_model is not UNSET:
            field_dict["remote_model"] = remote_model
        if remote_state is not UNSET:
            field_dict["remote_state"] = remote_state
        if trained_tokens is not UNSET:
            field_dict["trained_tokens"] = trained_tokens
        if route is not UNSET:
            field_dict["route"] = route
        if stage is not UNSET:
            field_dict["stage"] = stage
        if reason is not UNSET:
            field_dict["reason"] = reason
        if floor_per_mille is not UNSET:
            field_dict["floor_per_mille"] = floor_per_mille
        if threshold is not UNSET:
            field_dict["threshold"] = threshold
        if canary_percent is not UNSET:
            field_dict["canary_percent"] = canary_percent
        if compared is not UNSET:
            field_dict["compared"] = compared
        if answered is not UNSET:
            field_dict["answered"] = answered
        if agreed is not UNSET:
            field_dict["agreed"] = agreed
        if ended_at is not UNSET:
            field_dict["ended_at"] = ended_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        version = d.pop("version")

        upstream = UUID(d.pop("upstream"))

        project = UUID(d.pop("project"))

        name = d.pop("name")

        base_model = d.pop("base_model")

        per_million = d.pop("per_million")

        events = cast(list[str], d.pop("events"))

        held = d.pop("held")

        spent = d.pop("spent")

        def _parse_cap(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cap = _parse_cap(d.pop("cap"))

        compared_for = d.pop("compared_for")

        warnings = cast(list[str], d.pop("warnings"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        epochs = d.pop("epochs", UNSET)

        most_tokens = d.pop("most_tokens", UNSET)

        _state = d.pop("state", UNSET)
        state: JobState | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = JobState(_state)

        error = d.pop("error", UNSET)

        remote_job = d.pop("remote_job", UNSET)

        remote_model = d.pop("remote_model", UNSET)

        remote_state = d.pop("remote_state", UNSET)

        trained_tokens = d.pop("trained_tokens", UNSET)

        route = d.pop("route", UNSET)

        _stage = d.pop("stage", UNSET)
        stage: StageEnum | Unset
        if isinstance(_stage, Unset):
            stage = UNSET
        else:
            stage = StageEnum(_stage)

        reason = d.pop("reason", UNSET)

        floor_per_mille = d.pop("floor_per_mille", UNSET)

        threshold = d.pop("threshold", UNSET)

        canary_percent = d.pop("canary_percent", UNSET)

        compared = d.pop("compared", UNSET)

        answered = d.pop("answered", UNSET)

        agreed = d.pop("agreed", UNSET)

        def _parse_ended_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)

                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        ended_at = _parse_ended_at(d.pop("ended_at", UNSET))

        provider_tuning_answer = cls(
            id=id,
            version=version,
            upstream=upstream,
            project=project,
            name=name,
            base_model=base_model,
            per_million=per_million,
            events=events,
            held=held,
            spent=spent,
            cap=cap,
            compared_for=compared_for,
            warnings=warnings,
            created_at=created_at,
            epochs=epochs,
            most_tokens=most_tokens,
            state=state,
            error=error,
            remote_job=remote_job,
            remote_model=remote_model,
            remote_state=remote_state,
            trained_tokens=trained_tokens,
            route=route,
            stage=stage,
            reason=reason,
            floor_per_mille=floor_per_mille,
            threshold=threshold,
            canary_percent=canary_percent,
            compared=compared,
            answered=answered,
            agreed=agreed,
            ended_at=ended_at,
        )

        provider_tuning_answer.additional_properties = d
        return provider_tuning_answer

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
