from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.methods_enum import MethodsEnum
from ..models.mode import Mode
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewCompressionPolicy")


@_attrs_define
class NewCompressionPolicy:
    """What a policy is made of.

    Attributes:
        mode (Mode):
        methods (list[MethodsEnum] | Unset): how prompts are shortened, in this order
        keep_percent (int | Unset): how much stays of what may be left out, per cent
        extract_percent (int | Unset): how much of passages or turns stays, per cent of their length; 0: what their
            question needs
        holdout_percent (int | Unset): how many of the calls are left as they were, to prove the effect
        scorer (str | Unset): the model that says which words of a prompt could be guessed; empty: none is asked
        model (str | Unset): a model, by the organisation's name for it
    """

    mode: Mode
    methods: list[MethodsEnum] | Unset = UNSET
    keep_percent: int | Unset = UNSET
    extract_percent: int | Unset = UNSET
    holdout_percent: int | Unset = UNSET
    scorer: str | Unset = UNSET
    model: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        mode = self.mode.value

        methods: list[str] | Unset = UNSET
        if not isinstance(self.methods, Unset):
            methods = []
            for methods_item_data in self.methods:
                methods_item = methods_item_data.value
                methods.append(methods_item)

        keep_percent = self.keep_percent

        extract_percent = self.extract_percent

        holdout_percent = self.holdout_percent

        scorer = self.scorer

        model = self.model

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "mode": mode,
            }
        )
        if methods is not UNSET:
            field_dict["methods"] = methods
        if keep_percent is not UNSET:
            field_dict["keep_percent"] = keep_percent
        if extract_percent is not UNSET:
            field_dict["extract_percent"] = extract_percent
        if holdout_percent is not UNSET:
            field_dict["holdout_percent"] = holdout_percent
        if scorer is not UNSET:
            field_dict["scorer"] = scorer
        if model is not UNSET:
            field_dict["model"] = model

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        mode = Mode(d.pop("mode"))

        _methods = d.pop("methods", UNSET)
        methods: list[MethodsEnum] | Unset = UNSET
        if _methods is not UNSET:
            methods = []
            for methods_item_data in _methods:
                methods_item = MethodsEnum(methods_item_data)

                methods.append(methods_item)

        keep_percent = d.pop("keep_percent", UNSET)

        extract_percent = d.pop("extract_percent", UNSET)

        holdout_percent = d.pop("holdout_percent", UNSET)

        scorer = d.pop("scorer", UNSET)

        model = d.pop("model", UNSET)

        new_compression_policy = cls(
            mode=mode,
            methods=methods,
            keep_percent=keep_percent,
            extract_percent=extract_percent,
            holdout_percent=holdout_percent,
            scorer=scorer,
            model=model,
        )

        new_compression_policy.additional_properties = d
        return new_compression_policy

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
