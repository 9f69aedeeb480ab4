from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="DistilAnswer")


@_attrs_define
class DistilAnswer:
    """A proposal for shorter words, the sentences that it leaves out, and the tokens of both by OpenAI's vocabulary.
    Nothing is kept of it.

        Attributes:
            text (str): the same in a sentence
            dropped (list[str]): the sentences that the proposal leaves out
            tokens_before (int): tokens of the prompt as it is, by OpenAI's vocabulary
            tokens_after (int): tokens of the proposal
    """

    text: str
    dropped: list[str]
    tokens_before: int
    tokens_after: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        text = self.text

        dropped = self.dropped

        tokens_before = self.tokens_before

        tokens_after = self.tokens_after

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "text": text,
                "dropped": dropped,
                "tokens_before": tokens_before,
                "tokens_after": tokens_after,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        text = d.pop("text")

        dropped = cast(list[str], d.pop("dropped"))

        tokens_before = d.pop("tokens_before")

        tokens_after = d.pop("tokens_after")

        distil_answer = cls(
            text=text,
            dropped=dropped,
            tokens_before=tokens_before,
            tokens_after=tokens_after,
        )

        distil_answer.additional_properties = d
        return distil_answer

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
