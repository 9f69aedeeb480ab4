from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="CacheShadowAnswer")


@_attrs_define
class CacheShadowAnswer:
    """Look-ups by meaning that are remembered: how many would have been hits, how many of those were asked all the same
    to learn whether they would have been right, of how many the truth is known, and how many of these were wrong; and
    from how many the gate has learned.

        Attributes:
            lookups (int): look-ups by meaning
            would_serve (int): how many would have been hits
            rechecked (int): how many of those were asked all the same
            known (int): of how many the truth is known
            wrong (int): how many of these were wrong
            learned_from (int): from how many the gate has learned
    """

    lookups: int
    would_serve: int
    rechecked: int
    known: int
    wrong: int
    learned_from: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        lookups = self.lookups

        would_serve = self.would_serve

        rechecked = self.rechecked

        known = self.known

        wrong = self.wrong

        learned_from = self.learned_from

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "lookups": lookups,
                "would_serve": would_serve,
                "rechecked": rechecked,
                "known": known,
                "wrong": wrong,
                "learned_from": learned_from,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        lookups = d.pop("lookups")

        would_serve = d.pop("would_serve")

        rechecked = d.pop("rechecked")

        known = d.pop("known")

        wrong = d.pop("wrong")

        learned_from = d.pop("learned_from")

        cache_shadow_answer = cls(
            lookups=lookups,
            would_serve=would_serve,
            rechecked=rechecked,
            known=known,
            wrong=wrong,
            learned_from=learned_from,
        )

        cache_shadow_answer.additional_properties = d
        return cache_shadow_answer

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
