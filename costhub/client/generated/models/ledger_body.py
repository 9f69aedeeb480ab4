from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="LedgerBody")


@_attrs_define
class LedgerBody:
    """Whose calls of the ledger make the average day, and of how many weeks until now: 4, if it is not said.

    Attributes:
        model (str | Unset): a model's name
        project (str | Unset): a project's name or id
        weeks (int | Unset): how many weeks back, 1 to 52
    """

    model: str | Unset = UNSET
    project: str | Unset = UNSET
    weeks: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        project = self.project

        weeks = self.weeks

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if model is not UNSET:
            field_dict["model"] = model
        if project is not UNSET:
            field_dict["project"] = project
        if weeks is not UNSET:
            field_dict["weeks"] = weeks

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = d.pop("model", UNSET)

        project = d.pop("project", UNSET)

        weeks = d.pop("weeks", UNSET)

        ledger_body = cls(
            model=model,
            project=project,
            weeks=weeks,
        )

        ledger_body.additional_properties = d
        return ledger_body

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
