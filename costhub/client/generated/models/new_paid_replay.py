from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewPaidReplay")


@_attrs_define
class NewPaidReplay:
    """Which captured calls, the newest first, whom to ask, the most that it may cost in decimal USD, and who calls,
    whose budgets hold.

        Attributes:
            model (str): the model or route whose captured calls are asked again
            to (str): the model or route that they are asked of
            cap (str): the most that it may cost, decimal USD
            api_key (str): an API key of the organisation, by which the calls are made
            calls (int | Unset): how many calls
    """

    model: str
    to: str
    cap: str
    api_key: str
    calls: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        to = self.to

        cap = self.cap

        api_key = self.api_key

        calls = self.calls

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
                "to": to,
                "cap": cap,
                "api_key": api_key,
            }
        )
        if calls is not UNSET:
            field_dict["calls"] = calls

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = d.pop("model")

        to = d.pop("to")

        cap = d.pop("cap")

        api_key = d.pop("api_key")

        calls = d.pop("calls", UNSET)

        new_paid_replay = cls(
            model=model,
            to=to,
            cap=cap,
            api_key=api_key,
            calls=calls,
        )

        new_paid_replay.additional_properties = d
        return new_paid_replay

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
