from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.stage_enum import StageEnum
from ..models.tuned_model_answer_state_enum import TunedModelAnswerStateEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.agreement_answer import AgreementAnswer
    from ..models.economy_answer import EconomyAnswer
    from ..models.tuned_model_answer_evaluation import TunedModelAnswerEvaluation


T = TypeVar("T", bound="TunedModelAnswer")


@_attrs_define
class TunedModelAnswer:
    """A tuned model: what it is an adapter of, how it does on what was held out with the adapter and without, the model
    by which calls reach it (empty: none), how far it is trusted, what came of comparing it with the teacher, and what
    it saves. ``threshold`` above 1: nobody knows yet how sure it must be. ``agreement``: held-out answers that it gives
    to the letter; ``without_adapter``: that its base gives. ``warnings``: why nobody notices whether it still agrees
    with its teacher.

        Attributes:
            id (UUID): the row's id
            job (str): the training that made it, by id
            name (str): a name for people
            base_model (str): the language model that is trained on, by the provider's or the operator's name
            sha256 (str): SHA-256 of what it says
            evaluation (TunedModelAnswerEvaluation): how good it is on what was held out
            agreement (AgreementAnswer | None): of the answers that were held out, those that it gives to the letter; null:
                nobody knows
            without_adapter (AgreementAnswer | None): of the answers that were held out, those that its base gives to the
                letter; null: nobody knows
            economy (EconomyAnswer): What one that was trained saves: what a call of its teacher's costs (null: there was
                none in four weeks), what a
                call costs that asks it (null: it has no price; a student's is nothing), the share of calls that it answers,
                what it
                cost, of that ``bought`` the teacher's answers that were asked for its dataset, and the calls from which on that
                has
                come back (null: never). ``per_success``: what an answer as the teacher's costs where it is asked first, with 95
                %
                limits.
            warnings (list[str]): In plain sentences.
            created_at (datetime.datetime): when it was made
            state (TunedModelAnswerStateEnum | Unset):
            reason (str | Unset): why, in words
            size (int | Unset): bytes of its adapter
            model (str | Unset): the model by which calls reach it; empty: none
            route (str | Unset): a route, by name
            stage (StageEnum | Unset):
            floor_per_mille (int | Unset): the agreement with the teacher that must be certain, per mille, before it answers
            threshold (float | Unset): how sure it must be of an answer, from 0 to 1; above 1: nobody knows yet
            canary_percent (int | Unset): how many of the questions go to it in the stage canary
            compared (int | Unset): how many calls it was compared with its teacher on since
            answered (int | Unset): how many were answered
            agreed (int | Unset): of these, how many it answered as its teacher did
    """

    id: UUID
    job: str
    name: str
    base_model: str
    sha256: str
    evaluation: TunedModelAnswerEvaluation
    agreement: AgreementAnswer | None
    without_adapter: AgreementAnswer | None
    economy: EconomyAnswer
    warnings: list[str]
    created_at: datetime.datetime
    state: TunedModelAnswerStateEnum | Unset = UNSET
    reason: str | Unset = UNSET
    size: int | Unset = UNSET
    model: str | Unset = UNSET
    route: str | Unset = UNSET
    stage: StageEnum | Unset = UNSET
    floor_per_mille: int | Unset = UNSET
    threshold: float | Unset = UNSET
    canary_percent: int | Unset = UNSET
    compared: int | Unset = UNSET
    answered: int | Unset = UNSET
    agreed: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.agreement_answer import AgreementAnswer  # noqa: PLC0415

        id = str(self.id)

        job = self.job

        name = self.name

        base_model = self.base_model

        sha256 = self.sha256

        evaluation = self.evaluation.to_dict()

        agreement: dict[str, Any] | None
        if isinstance(self.agreement, AgreementAnswer):
            agreement = self.agreement.to_dict()
        else:
            agreement = self.agreement

        without_adapter: dict[str, Any] | None
        if isinstance(self.without_adapter, AgreementAnswer):
            without_adapter = self.without_adapter.to_dict()
        else:
            without_adapter = self.without_adapter

        economy = self.economy.to_dict()

        warnings = self.warnings

        created_at = self.created_at.isoformat()

        state: str | Unset = UNSET
        if not isinstance(self.state, Unset):
            state = self.state.value

        reason = self.reason

        size = self.size

        model = self.model

        route = self.route

        stage: str | Unset = UNSET
        if not isinstance(self.stage, Unset):
            stage = self.stage.value

        floor_per_mille = self.floor_per_mille

        threshold = self.threshold

        canary_percent = self.canary_percent

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
                "base_model": base_model,
                "sha256": sha256,
                "evaluation": evaluation,
                "agreement": agreement,
                "without_adapter": without_adapter,
                "economy": economy,
                "warnings": warnings,
                "created_at": created_at,
            }
        )
        if state is not UNSET:
            field_dict["state"] = state
        if reason is not UNSET:
            field_dict["reason"] = reason
        if size is not UNSET:
            field_dict["size"] = size
        if model is not UNSET:
            field_dict["model"] = model
        if route is not UNSET:
            field_dict["route"] = route
        if stage is not UNSET:
            field_dict["stage"] = stage
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

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.agreement_answer import AgreementAnswer  # noqa: PLC0415
        from ..models.economy_answer import EconomyAnswer  # noqa: PLC0415
        from ..models.tuned_model_answer_evaluation import TunedModelAnswerEvaluation  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        job = d.pop("job")

        name = d.pop("name")

        base_model = d.pop("base_model")

        sha256 = d.pop("sha256")

        evaluation = TunedModelAnswerEvaluation.from_dict(d.pop("evaluation"))

        def _parse_agreement(data: object) -> AgreementAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                agreement_type_0 = AgreementAnswer.from_dict(data)

                return agreement_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(AgreementAnswer | None, data)

        agreement = _parse_agreement(d.pop("agreement"))

        def _parse_without_adapter(data: object) -> AgreementAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                without_adapter_type_0 = AgreementAnswer.from_dict(data)

                return without_adapter_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(AgreementAnswer | None, data)

        without_adapter = _parse_without_adapter(d.pop("without_adapter"))

        economy = EconomyAnswer.from_dict(d.pop("economy"))

        warnings = cast(list[str], d.pop("warnings"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _state = d.pop("state", UNSET)
        state: TunedModelAnswerStateEnum | Unset
        if isinstance(_state, Unset):
            state = UNSET
        else:
            state = TunedModelAnswerStateEnum(_state)

        reason = d.pop("reason", UNSET)

        size = d.pop("size", UNSET)

        model = d.pop("model", UNSET)

        route = d.pop("route", UNSET)

        _stage = d.pop("stage", UNSET)
        stage: StageEnum | Unset
        if isinstance(_stage, Unset):
            stage = UNSET
        else:
            stage = StageEnum(_stage)

        floor_per_mille = d.pop("floor_per_mille", UNSET)

        threshold = d.pop("threshold", UNSET)

        canary_percent = d.pop("canary_percent", UNSET)

        compared = d.pop("compared", UNSET)

        answered = d.pop("answered", UNSET)

        agreed = d.pop("agreed", UNSET)

        tuned_model_answer = cls(
            id=id,
            job=job,
            name=name,
            base_model=base_model,
            sha256=sha256,
            evaluation=evaluation,
            agreement=agreement,
            without_adapter=without_adapter,
            economy=economy,
            warnings=warnings,
            created_at=created_at,
            state=state,
            reason=reason,
            size=size,
            model=model,
            route=route,
            stage=stage,
            floor_per_mille=floor_per_mille,
            threshold=threshold,
            canary_percent=canary_percent,
            compared=compared,
            answered=answered,
            agreed=agreed,
        )

        tuned_model_answer.additional_properties = d
        return tuned_model_answer

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
