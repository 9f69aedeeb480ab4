from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.training_kind import TrainingKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewTrainingJob")


@_attrs_define
class NewTrainingJob:
    """What a job is made of. ``kind`` head trains a classifier of questions, encoder one with an encoder of its own
    under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``, of this ``rank``, on any
    answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an hour of the worker costs the
    project; ``most``: USD that the whole job may.

        Attributes:
            version (str): a version, by id
            project (str): a project, by id; where it is written also by name
            name (str): a name for people
            kind (TrainingKind | Unset):
            base_model (str | Unset): the language model that is trained on, by the provider's or the operator's name
            rank (int | Unset): of the adapter: how much it can learn
            sequence_tokens (int | Unset): the longest example that is learned from, in tokens; longer ones are left out
            epochs (int | Unset): how often all examples are gone through
            batch_rows (int | Unset): examples a step
            rate_millionths (int | Unset): the learning rate, in millionths
            seed (int | Unset): by which the same is drawn again
            floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
            per_hour (str | Unset): what an hour of it costs, decimal USD
            most (str | Unset): the most that the whole job may cost, decimal USD
    """

    version: str
    project: str
    name: str
    kind: TrainingKind | Unset = UNSET
    base_model: str | Unset = UNSET
    rank: int | Unset = UNSET
    sequence_tokens: int | Unset = UNSET
    epochs: int | Unset = UNSET
    batch_rows: int | Unset = UNSET
    rate_millionths: int | Unset = UNSET
    seed: int | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    per_hour: str | Unset = UNSET
    most: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        version = self.version

        project = self.project

        name = self.name

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

        per_hour = self.per_hour

        most = self.most

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "version": version,
                "project": project,
                "name": name,
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
        if per_hour is not UNSET:
            field_dict["per_hour"] = per_hour
        if most is not UNSET:
            field_dict["most"] = most

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        version = d.pop("version")

        project = d.pop("project")

        name = d.pop("name")

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

        per_hour = d.pop("per_hour", UNSET)

        most = d.pop("most", UNSET)

        new_training_job = cls(
            version=version,
            project=project,
            name=name,
            kind=kind,
            base_model=base_model,
            rank=rank,
            sequence_tokens=sequence_tokens,
            epochs=epochs,
            batch_rows=batch_rows,
            rate_millionths=rate_millionths,
            seed=seed,
            floor_per_mille=floor_per_mille,
            per_hour=per_hour,
            most=most,
        )

        new_training_job.additional_properties = d
        return new_training_job

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
