from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="LevelAnswer")


@_attrs_define
class LevelAnswer:
    """The calls of one status, as the ledger names it.

    Attributes:
        status (str): the calls' cache status, as the ledger names it
        requests (int): how many calls
        list_cost (str): what it would have cost at the model that was asked for, of a route at its baseline model;
            decimal USD
        effective_cost (str): what it cost, decimal USD
        saved (str): what it saved, decimal USD
    """

    status: str
    requests: int
    list_cost: str
    effective_cost: str
    saved: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        requests = self.requests

        list_cost = self.list_cost

        effective_cost = self.effective_cost

        saved = self.saved

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
                "requests": requests,
                "list_cost": list_cost,
                "effective_cost": effective_cost,
                "saved": saved,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = d.pop("status")

        requests = d.pop("requests")

        list_cost = d.pop("list_cost")

        effective_cost = d.pop("effective_cost")

        saved = d.pop("saved")

        level_answer = cls(
            status=status,
            requests=requests,
            list_cost=list_cost,
            effective_cost=effective_cost,
            saved=saved,
        )

        level_answer.additional_properties = d
        return level_answer

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
