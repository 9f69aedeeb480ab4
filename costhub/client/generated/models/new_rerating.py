from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewRerating")


@_attrs_define
class NewRerating:
    """The calls of a model from ``start`` until before ``to``. ``makes_notes``: months that were invoiced have a note
    of it at once; else it is late usage of the next invoice.

        Attributes:
            model (str): a model, by the organisation's name for it
            start (datetime.datetime): where it begins
            to (datetime.datetime): where the time ends; this moment is not in it
            reason (str): why, in words
            makes_notes (bool | Unset): whether months that were invoiced get a note
    """

    model: str
    start: datetime.datetime
    to: datetime.datetime
    reason: str
    makes_notes: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        start = self.start.isoformat()

        to = self.to.isoformat()

        reason = self.reason

        makes_notes = self.makes_notes

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
                "start": start,
                "to": to,
                "reason": reason,
            }
        )
        if makes_notes is not UNSET:
            field_dict["makes_notes"] = makes_notes

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = d.pop("model")

        start = datetime.datetime.fromisoformat(d.pop("start"))

        to = datetime.datetime.fromisoformat(d.pop("to"))

        reason = d.pop("reason")

        makes_notes = d.pop("makes_notes", UNSET)

        new_rerating = cls(
            model=model,
            start=start,
            to=to,
            reason=reason,
            makes_notes=makes_notes,
        )

        new_rerating.additional_properties = d
        return new_rerating

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
