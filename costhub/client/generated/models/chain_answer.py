from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ChainAnswer")


@_attrs_define
class ChainAnswer:
    """What was found of an organisation's audit log: how far it reaches, and whether its hashes are those of what it
    says. Who writes down ``entries`` and ``hash`` can tell later whether its end was cut off.

        Attributes:
            entries (int): how many entries were checked
            hash_ (str): the hash of the newest one
            first_broken (int | None): the number of the first entry that is not as it was written; null: all are
    """

    entries: int
    hash_: str
    first_broken: int | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        entries = self.entries

        hash_ = self.hash_

        first_broken: int | None
        first_broken = self.first_broken

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "entries": entries,
                "hash": hash_,
                "first_broken": first_broken,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        entries = d.pop("entries")

        hash_ = d.pop("hash")

        def _parse_first_broken(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        first_broken = _parse_first_broken(d.pop("first_broken"))

        chain_answer = cls(
            entries=entries,
            hash_=hash_,
            first_broken=first_broken,
        )

        chain_answer.additional_properties = d
        return chain_answer

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
