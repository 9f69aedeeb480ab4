from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.methods_enum import MethodsEnum
from ..models.mode import Mode
from ..types import UNSET, Unset

T = TypeVar("T", bound="CompressionPolicyAnswer")


@_attrs_define
class CompressionPolicyAnswer:
    """How prompts are shortened of a model or route, or with an empty ``model`` of all without a policy of their
    own.

        Attributes:
            id (UUID): the row's id
            mode (Mode):
            methods (list[MethodsEnum]): how prompts are shortened, in this order
            created_at (datetime.datetime): when it was made
            model (str | Unset): a model, by the organisation's name for it
            keep_percent (int | Unset): how much stays of what may be left out, per cent
            extract_percent (int | Unset): how much of passages or turns stays, per cent of their length; 0: what their
                question needs
            holdout_percent (int | Unset): how many of the calls are left as they were, to prove the effect
            scorer (str | Unset): the model that says which words of a prompt could be guessed; empty: none is asked
    """

    id: UUID
    mode: Mode
    methods: list[MethodsEnum]
    created_at: datetime.datetime
    model: str | Unset = UNSET
    keep_percent: int | Unset = UNSET
    extract_percent: int | Unset = UNSET
    holdout_percent: int | Unset = UNSET
    scorer: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        mode = self.mode.value

        methods = []
        for methods_item_data in self.methods:
            methods_item = methods_item_data.value
            methods.append(methods_item)

        created_at = self.created_at.isoformat()

        model = self.model

        keep_percent = self.keep_percent

        extract_percent = self.extract_percent

        holdout_percent = self.holdout_percent

        scorer = self.scorer

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "mode": mode,
                "methods": methods,
                "created_at": created_at,
            }
        )
        if model is not UNSET:
            field_dict["model"] = model
        if keep_percent is not UNSET:
            field_dict["keep_percent"] = keep_percent
        if extract_percent is not UNSET:
            field_dict["extract_percent"] = extract_percent
        if holdout_percent is not UNSET:
            field_dict["holdout_percent"] = holdout_percent
        if scorer is not UNSET:
            field_dict["scorer"] = scorer

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        mode = Mode(d.pop("mode"))

        methods = []
        _methods = d.pop("methods")
        for methods_item_data in _methods:
            methods_item = MethodsEnum(methods_item_data)

            methods.append(methods_item)

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        model = d.pop("model", UNSET)

        keep_percent = d.pop("keep_percent", UNSET)

        extract_percent = d.pop("extract_percent", UNSET)

        holdout_percent = d.pop("holdout_percent", UNSET)

        scorer = d.pop("scorer", UNSET)

        compression_policy_answer = cls(
            id=id,
            mode=mode,
            methods=methods,
            created_at=created_at,
            model=model,
            keep_percent=keep_percent,
            extract_percent=extract_percent,
            holdout_percent=holdout_percent,
            scorer=scorer,
        )

        compression_policy_answer.additional_properties = d
        return compression_policy_answer

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
