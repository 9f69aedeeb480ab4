from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.stage_enum import StageEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.economy_answer import EconomyAnswer
    from ..models.student_answer_evaluation import StudentAnswerEvaluation


T = TypeVar("T", bound="StudentAnswer")


@_attrs_define
class StudentAnswer:
    """A student, its evaluation on what was held out, and what came of comparing it with the teacher since.

    Attributes:
        id (UUID): the row's id
        job (str): the training that made it, by id
        name (str): a name for people
        labels (list[str]): the answers that it knows
        sha256 (str): SHA-256 of what it says
        evaluation (StudentAnswerEvaluation): how good it is on what was held out
        economy (EconomyAnswer): What one that was trained saves: what a call of its teacher's costs (null: there was
            none in four weeks), what a
            call costs that asks it (null: it has no price; a student's is nothing), the share of calls that it answers,
            what it
            cost, of that ``bought`` the teacher's answers that were asked for its dataset, and the calls from which on that
            has
            come back (null: never). ``per_success``: what an answer as the teacher's costs where it is asked first, with 95
            %
            limits.
        warnings (list[str]): Why nobody notices whether it still agrees with its teacher; empty where somebody does.
        created_at (datetime.datetime): when it was made
        threshold (float | Unset): the likelihood from which on it answers itself; what is below goes to the teacher
        floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
        stage (StageEnum | Unset):
        reason (str | Unset): why, in words
        canary_percent (int | Unset): how many of the questions go to it in the stage canary
        route (str | Unset): a route, by name
        compared (int | Unset): how many calls it was compared with its teacher on since
        answered (int | Unset): how many were answered
        agreed (int | Unset): of these, how many it answered as its teacher did
    """

    id: UUID
    job: str
    name: str
    labels: list[str]
    sha256: str
    evaluation: StudentAnswerEvaluation
    economy: EconomyAnswer
    warnings: list[str]
    created_at: datetime.datetime
    threshold: float | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    stage: StageEnum | Unset = UNSET
    reason: str | Unset = UNSET
    canary_percent: int | Unset = UNSET
    route: str | Unset = UNSET
    compared: int | Unset = UNSET
    answered: int | Unset = UNSET
    agreed: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        job = self.job

        name = self.name

        labels = self.labels

        sha256 = self.sha256

        evaluation = self.evaluation.to_dict()

        economy = self.economy.to_dict()

        warnings = self.warnings

        created_at = self.created_at.isoformat()

        threshold = self.threshold

        floor_per_mille = self.floor_per_mille

        stage: str | Unset = UNSET
        if not isinstance(self.stage, Unset):
            stage = self.stage.value

        reason = self.reason

        canary_percent = self.canary_percent

        route = self.route

        compared = self.compared

        answered = self.answered

        agreed = self.agreed

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "job": job,
                "name": name,
                "labels": labels,
                "sha256": sha256,
                "evaluation": evaluation,
                "economy": economy,
                "warnings": warnings,
                "created_at": created_at,
            }
        )
        if threshold is not UNSET:
            field_dict["threshold"] = threshold
        if floor_per_mille is not UNSET:
            field_dict["floor_per_mille"] = floor_per_mille
        if stage is not UNSET:
            field_dict["stage"] = stage
        if reason is not UNSET:
            field_dict["reason"] = reason
        if canary_percent is not UNSET:
            field_dict["canary_percent"] = canary_percent
        if route is not UNSET:
            field_dict["route"] = route
        if compared is not UNSET:
            field_dict["compared"] = compared
        if answered is not UNSET:
            field_dict["answered"] = answered
        if agreed is not UNSET:
            field_dict["agreed"] = agreed

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.economy_answer import EconomyAnswer  # noqa: PLC0415
        from ..models.student_answer_evaluation import StudentAnswerEvaluation  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        job = d.pop("job")

        name = d.pop("name")

        labels = cast(list[str], d.pop("labels"))

        sha256 = d.pop("sha256")

        evaluation = StudentAnswerEvaluation.from_dict(d.pop("evaluation"))

        economy = EconomyAnswer.from_dict(d.pop("economy"))

        warnings = cast(list[str], d.pop("warnings"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        threshold = d.pop("threshold", UNSET)

        floor_per_mille = d.pop("floor_per_mille", UNSET)

        _stage = d.pop("stage", UNSET)
        stage: StageEnum | Unset
        if isinstance(_stage, Unset):
            stage = UNSET
        else:
            stage = StageEnum(_stage)

        reason = d.pop("reason", UNSET)

        canary_percent = d.pop("canary_percent", UNSET)

        route = d.pop("route", UNSET)

        compared = d.pop("compared", UNSET)

        answered = d.pop("answered", UNSET)

        agreed = d.pop("agreed", UNSET)

        student_answer = cls(
            id=id,
            job=job,
            name=name,
            labels=labels,
            sha256=sha256,
            evaluation=evaluation,
            economy=economy,
            warnings=warnings,
            created_at=created_at,
            threshold=threshold,
            floor_per_mille=floor_per_mille,
            stage=stage,
            reason=reason,
            canary_percent=canary_percent,
            route=route,
            compared=compared,
            answered=answered,
            agreed=agreed,
        )

        student_answer.additional_properties = d
        return student_answer

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
