from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.kept_point_answer import KeptPointAnswer


T = TypeVar("T", bound="KeptAnswer")


@_attrs_define
class KeptAnswer:
    """The cost of a compression policy's past calls by the share that is kept, beside what public texts kept.

    Attributes:
        calls (int): how many calls
        as_they_came (str): what the calls cost as they came, decimal USD
        words (list[KeptPointAnswer]): with each share of the words kept; 0: words of grammar alone are left out
        passages (list[KeptPointAnswer]): with each share of passages or turns kept; 0: as much as a question needs
        assumptions (list[str]): what the figures rest on, in sentences
    """

    calls: int
    as_they_came: str
    words: list[KeptPointAnswer]
    passages: list[KeptPointAnswer]
    assumptions: list[str]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        calls = self.calls

        as_they_came = self.as_they_came

        words = []
        for words_item_data in self.words:
            words_item = words_item_data.to_dict()
            words.append(words_item)

        passages = []
        for passages_item_data in self.passages:
            passages_item = passages_item_data.to_dict()
            passages.append(passages_item)

        assumptions = self.assumptions

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "as_they_came": as_they_came,
                "words": words,
                "passages": passages,
                "assumptions": assumptions,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.kept_point_answer import KeptPointAnswer  # noqa: PLC0415

        d = dict(src_dict)
        calls = d.pop("calls")

        as_they_came = d.pop("as_they_came")

        words = []
        _words = d.pop("words")
        for words_item_data in _words:
            words_item = KeptPointAnswer.from_dict(words_item_data)

            words.append(words_item)

        passages = []
        _passages = d.pop("passages")
        for passages_item_data in _passages:
            passages_item = KeptPointAnswer.from_dict(passages_item_data)

            passages.append(passages_item)

        assumptions = cast(list[str], d.pop("assumptions"))

        kept_answer = cls(
            calls=calls,
            as_they_came=as_they_came,
            words=words,
            passages=passages,
            assumptions=assumptions,
        )

        kept_answer.additional_properties = d
        return kept_answer

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
