from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.part_answer import PartAnswer
    from ..models.span_answer import SpanAnswer


T = TypeVar("T", bound="BridgeAnswer")


@_attrs_define
class BridgeAnswer:
    """From one bill to the other: the amounts of the parts sum to ``change`` exactly.

    Attributes:
        before (SpanAnswer): A stretch of time, [from, to), and what it cost in decimal USD.
        after (SpanAnswer): A stretch of time, [from, to), and what it cost in decimal USD.
        change (str): after less before, decimal USD; below zero where it is less
        text (str): the same in a sentence
        parts (list[PartAnswer]): what each cause made of it; they sum to the change
    """

    before: SpanAnswer
    after: SpanAnswer
    change: str
    text: str
    parts: list[PartAnswer]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        before = self.before.to_dict()

        after = self.after.to_dict()

        change = self.change

        text = self.text

        parts = []
        for parts_item_data in self.parts:
            parts_item = parts_item_data.to_dict()
            parts.append(parts_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "before": before,
                "after": after,
                "change": change,
                "text": text,
                "parts": parts,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.part_answer import PartAnswer  # noqa: PLC0415
        from ..models.span_answer import SpanAnswer  # noqa: PLC0415

        d = dict(src_dict)
        before = SpanAnswer.from_dict(d.pop("before"))

        after = SpanAnswer.from_dict(d.pop("after"))

        change = d.pop("change")

        text = d.pop("text")

        parts = []
        _parts = d.pop("parts")
        for parts_item_data in _parts:
            parts_item = PartAnswer.from_dict(parts_item_data)

            parts.append(parts_item)

        bridge_answer = cls(
            before=before,
            after=after,
            change=change,
            text=text,
            parts=parts,
        )

        bridge_answer.additional_properties = d
        return bridge_answer

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
