from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.patched_budget_changes_ladder_item_rung import (
    PatchedBudgetChangesLadderItemRung,
)
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedBudgetChangesLadderItem")


@_attrs_define
class PatchedBudgetChangesLadderItem:
    """
    Attributes:
        at (int): per cent of the budget from which on the rung is in force
        rung (PatchedBudgetChangesLadderItemRung):
        model (str | Unset): of cheaper_model
        max_tokens (int | Unset): of shorter_output
        delay_ms (int | Unset): of slower_lane
        route (str | Unset): of route
    """

    at: int
    rung: PatchedBudgetChangesLadderItemRung
    model: str | Unset = UNSET
    max_tokens: int | Unset = UNSET
    delay_ms: int | Unset = UNSET
    route: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        at = self.at

        rung = self.rung.value

        model = self.model

        max_tokens = self.max_tokens

        delay_ms = self.delay_ms

        route = self.route

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "at": at,
                "rung": rung,
            }
        )
        if model is not UNSET:
            field_dict["model"] = model
        if max_tokens is not UNSET:
            field_dict["max_tokens"] = max_tokens
        if delay_ms is not UNSET:
            field_dict["delay_ms"] = delay_ms
        if route is not UNSET:
            field_dict["route"] = route

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        at = d.pop("at")

        rung = PatchedBudgetChangesLadderItemRung(d.pop("rung"))

        model = d.pop("model", UNSET)

        max_tokens = d.pop("max_tokens", UNSET)

        delay_ms = d.pop("delay_ms", UNSET)

        route = d.pop("route", UNSET)

        patched_budget_changes_ladder_item = cls(
            at=at,
            rung=rung,
            model=model,
            max_tokens=max_tokens,
            delay_ms=delay_ms,
            route=route,
        )

        patched_budget_changes_ladder_item.additional_properties = d
        return patched_budget_changes_ladder_item

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
