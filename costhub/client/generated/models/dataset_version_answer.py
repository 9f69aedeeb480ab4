from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.dataset_version_answer_state_enum import DatasetVersionAnswerStateEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.dataset_version_answer_labels import DatasetVersionAnswerLabels
    from ..models.dataset_version_answer_lineage import DatasetVersionAnswerLineage


T = TypeVar("T", bound="DatasetVersionAnswer")


@_attrs_define
class DatasetVersionAnswer:
    """A dataset at one moment. ``lineage`` says what it was made of, and what was left out for which reason;
    ``withdrawn``: how many of its examples are gone since. ``warnings``: what somebody should look at before it is
    learned from.

        Attributes:
            id (UUID): the row's id
            dataset (str): a dataset, by id or name
            number (int): its number, counted from 1
            train (int): How many are learned from.
            held_out (int): How many are held out.
            withdrawn (int): How many are gone since.
            labels (DatasetVersionAnswerLabels): how many examples each answer has
            lineage (DatasetVersionAnswerLineage): what it was made of, and what was left out why, counted
            warnings (list[str]): What somebody should look at before it is learned from.
            created_at (datetime.datetime): when it was made
            state (DatasetVersionAnswerStateEnum | Unset):
            error (str | Unset): what went wrong, or what it waits for; empty if nothing
            sha256 (str | Unset): SHA-256 of what it says
    """

    id: UUID
    dataset: str
    number: int
    train: int
    held_out: int
    withdrawn: int
    labels: DatasetVersionAnswerLabels
    lineage: DatasetVersionAnswerLineage
    warnings: list[str]
    created_at: datetime.datetime
    state: DatasetVersionAnswerStateEnum | Unset = UNSET
    error: str | Unset = UNSET
    sha256: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        dataset = self.dataset

        number = self.number

        train = self.train

        held_out = self.held_out

        withdrawn = self.withdrawn

        labels = self.labels.to_dict()

        lineage = self.lineage.to_dict()

        warnings = self.warnings

        created_at = self.created_at.isoformat()

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        error = self.error

        sha256 = self.sha256

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "dataset": dataset,
                "number": number,
                "train": train,
                "held_out": held_out,
                "withdrawn": withdrawn,
                "labels": labels,
                "lineage": lineage,
                "warnings": warnings,
                "created_at": created_at,
            }
        )
        if state is not UNSET:
            field_dict["state"] = state
        if error is not UNSET:
            field_dict["error"] = error
        if sha256 is not UNSET:
            field_dict["sha256"] = sha256

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.dataset_version_answer_labels import DatasetVersionAnswerLabels  # noqa: PLC0415
        from ..models.dataset_version_answer_lineage import DatasetVersionAnswerLineage  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        dataset = d.pop("dataset")

        number = d.pop("number")

        train = d.pop("train")

        held_out = d.pop("held_out")

        withdrawn = d.pop("withdrawn")

        labels = DatasetVersionAnswerLabels.from_dict(d.pop("labels"))

        lineage = DatasetVersionAnswerLineage.from_dict(d.pop("lineage"))

        warnings = cast(list[str], d.pop("warnings"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _state = d.pop("state", UNSET)
        state: DatasetVersionAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = DatasetVersionAnswerStateEnum(_state)

        error = d.pop("error", UNSET)

        sha256 = d.pop("sha256", UNSET)

        dataset_version_answer = cls(
            id=id,
            dataset=dataset,
            number=number,
            train=train,
            held_out=held_out,
            withdrawn=withdrawn,
            labels=labels,
            lineage=lineage,
            warnings=warnings,
            created_at=created_at,
            state=state,
            error=error,
            sha256=sha256,
        )

        dataset_version_answer.additional_properties = d
        return dataset_version_answer

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
