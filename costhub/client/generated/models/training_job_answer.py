from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.job_state import JobState
from ..models.training_kind import TrainingKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="TrainingJobAnswer")


@_attrs_define
class TrainingJobAnswer:
    """A job. ``losses``: pairs of a step and the mean loss before it. ``spent`` is what is charged, ``used`` that with
    the present worker's time. ``seconds_left`` is null while nobody knows.

        Attributes:
            id (UUID): the row's id
            version (str): a version, by id
            project (str): a project, by id; where it is written also by name
            name (str): a name for people
            per_hour (str): what an hour of it costs, decimal USD
            most (None | str): the most that the whole job may cost, decimal USD
            spent (str): what is spent of it so far, decimal USD
            used (str): what it has cost by now, the present worker's time included, decimal USD
            losses (list[list[float]]): pairs of a step and the mean loss before it
            seconds_left (int | None): At the present worker's pace.
            created_at (datetime.datetime): when it was made
            kind (TrainingKind | Unset):
            base_model (str | Unset): the language model that is trained on, by the provider's or the operator's name
            rank (int | Unset): of the adapter: how much it can learn
            sequence_tokens (int | Unset): the longest example that is learned from, in tokens; longer ones are left out
            epochs (int | Unset): how often all examples are gone through
            batch_rows (int | Unset): examples a step
            rate_millionths (int | Unset): the learning rate, in millionths
            seed (int | Unset): by which the same is drawn again
            floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
            state (JobState | Unset):
            error (str | Unset): what went wrong, or what it waits for; empty if nothing
            worker (str | Unset): which worker has it; empty: none
            fence (int | Unset): how many workers have had it; only the last may report on it
            step (int | Unset): the step it is at
            steps (int | Unset): how many steps there are
            tokens (int | Unset): how many tokens were learned from so far
            ended_at (datetime.datetime | None | Unset): when it ended; null: it has not
    """

    id: UUID
    version: str
    project: str
    name: str
    per_hour: str
    most: None | str
    spent: str
    used: str
    losses: list[list[float]]
    seconds_left: int | None
    created_at: datetime.datetime
    kind: TrainingKind | Unset = UNSET
    base_model: str | Unset = UNSET
    rank: int | Unset = UNSET
    sequence_tokens: int | Unset = UNSET
    epochs: int | Unset = UNSET
    batch_rows: int | Unset = UNSET
    rate_millionths: int | Unset = UNSET
    seed: int | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    state: JobState | Unset = UNSET
    error: str | Unset = UNSET
    worker: str | Unset = UNSET
    fence: int | Unset = UNSET
    step: int | Unset = UNSET
    steps: int | Unset = UNSET
    tokens: int | Unset = UNSET
    ended_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        version = self.version

        project = self.project

        name = self.name

        per_hour = self.per_hour

        most: None | str
        most = self.most

        spent = self.spent

        used = self.used

        losses = []
        for losses_item_data in self.losses:
            losses_item = losses_item_data

            losses.append(losses_item)

        seconds_left: int | None
        seconds_left = self.seconds_left

        created_at = self.created_at.isoformat()

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        base_model = self.base_model

        rank = self.rank

        sequence_tokens = self.sequence_tokens

        epochs = self.epochs

        batch_rows = self.batch_rows

        rate_millionths = self.rate_millionths

        seed = self.seed

        floor_per_mille = self.floor_per_mille

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        error = self.error

        worker = self.worker

        fence = self.fence

        step = self.step

        steps = self.steps

        tokens = self.tokens

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
                "project": project,
                "name": name,
                "per_hour": per_hour,
                "most": most,
                "spent": spent,
                "used": used,
                "losses": losses,
                "seconds_left": seconds_left,
                "created_at": created_at,
            }
        )
        if kind is not UNSET:
            field_dict["kind"] = kind
        if base_model is not UNSET:
            field_dict["base_model"] = base_model
        if rank is not UNSET:
            field_dict["rank"] = rank
        if sequence_tokens is not UNSET:
            field_dict["sequence_tokens"] = sequence_tokens
        if epochs is not UNSET:
            field_dict["epochs"] = epochs
        if batch_rows is not UNSET:
            field_dict["batch_rows"] = batch_rows
        if rate_millionths is not UNSET:
            field_dict["rate_millionths"] = rate_millionths
        if seed is not UNSET:
            field_dict["seed"] = seed
        if floor_per_mille is not UNSET:
            field_dict["floor_per_mille"] = floor_per_mille
        if state is not UNSET:
            field_dict["state"] = state
        if error is not UNSET:
            field_dict["error"] = error
        if worker is not UNSET:
            field_dict["worker"] = worker
        if fence is not UNSET:
            field_dict["fence"] = fence
        if step is not UNSET:
            field_dict["step"] = step
        if steps is not UNSET:
            field_dict["steps"] = steps
        if tokens is not UNSET:
            field_dict["tokens"] = tokens
        if ended_at is not UNSET:
            field_dict["ended_at"] = ended_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        version = d.pop("version")

        project = d.pop("project")

        name = d.pop("name")

        per_hour = d.pop("per_hour")

        def _parse_most(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        most = _parse_most(d.pop("most"))

        spent = d.pop("spent")

        used = d.pop("used")

        losses = []
        _losses = d.pop("losses")
        for losses_item_data in _losses:
            losses_item = cast(list[float], losses_item_data)

            losses.append(losses_item)

        def _parse_seconds_left(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        seconds_left = _parse_seconds_left(d.pop("seconds_left"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _kind = d.pop("kind", UNSET)
        kind: TrainingKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = TrainingKind(_kind)

        base_model = d.pop("base_model", UNSET)

        rank = d.pop("rank", UNSET)

        sequence_tokens = d.pop("sequence_tokens", UNSET)

        epochs = d.pop("epochs", UNSET)

        batch_rows = d.pop("batch_rows", UNSET)

        rate_millionths = d.pop("rate_millionths", UNSET)

        seed = d.pop("seed", UNSET)

        floor_per_mille = d.pop("floor_per_mille", UNSET)

        _state = d.pop("state", UNSET)
        state: JobState | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = JobState(_state)

        error = d.pop("error", UNSET)

        worker = d.pop("worker", UNSET)

        fence = d.pop("fence", UNSET)

        step = d.pop("step", UNSET)

        steps = d.pop("steps", UNSET)

        tokens = d.pop("tokens", UNSET)

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

        training_job_answer = cls(
            id=id,
            version=version,
            project=project,
            name=name,
            per_hour=per_hour,
            most=most,
            spent=spent,
            used=used,
            losses=losses,
            seconds_left=seconds_left,
            created_at=created_at,
            kind=kind,
            base_model=base_model,
            rank=rank,
            sequence_tokens=sequence_tokens,
            epochs=epochs,
            batch_rows=batch_rows,
            rate_millionths=rate_millionths,
            seed=seed,
            floor_per_mille=floor_per_mille,
            state=state,
            error=error,
            worker=worker,
            fence=fence,
            step=step,
            steps=steps,
            tokens=tokens,
            ended_at=ended_at,
        )

        training_job_answer.additional_properties = d
        return training_job_answer

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
