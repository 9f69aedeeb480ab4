from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewTeacherRun")


@_attrs_define
class NewTeacherRun:
    """``prompts``: a JSON object with ``messages`` a line, and ``gold`` where what is right is known; or ``judge``: a
    model or route that judges the dataset's answers. ``api_key``: who calls, and whose budgets hold. ``cap``: the most
    that the run may cost, decimal USD.

        Attributes:
            dataset (str): a dataset, by id or name
            api_key (str): an API key of the organisation, by which the calls are made
            prompts (str | Unset): a prompt a line
            judge (str | Unset): a model or route that judges the dataset's answers; empty: the teacher answers prompts
            cap (str | Unset): the most that it may cost, decimal USD; null: only budgets end it
    """

    dataset: str
    api_key: str
    prompts: str | Unset = UNSET
    judge: str | Unset = UNSET
    cap: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        dataset = self.dataset

        api_key = self.api_key

        prompts = self.prompts

        judge = self.judge

        cap = self.cap

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "dataset": dataset,
                "api_key": api_key,
            }
        )
        if prompts is not UNSET:
            field_dict["prompts"] = prompts
        if judge is not UNSET:
            field_dict["judge"] = judge
        if cap is not UNSET:
            field_dict["cap"] = cap

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        dataset = d.pop("dataset")

        api_key = d.pop("api_key")

        prompts = d.pop("prompts", UNSET)

        judge = d.pop("judge", UNSET)

        cap = d.pop("cap", UNSET)

        new_teacher_run = cls(
            dataset=dataset,
            api_key=api_key,
            prompts=prompts,
            judge=judge,
            cap=cap,
        )

        new_teacher_run.additional_properties = d
        return new_teacher_run

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
