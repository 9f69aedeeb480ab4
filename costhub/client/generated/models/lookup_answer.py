from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="LookupAnswer")


@_attrs_define
class LookupAnswer:
    """How a call was compared with what is kept. ``likelihood`` is that of the candidate's answer being right (its
    cosine, before the gate has learned), ``veto`` the guard that objected, ``right`` what became known.

        Attributes:
            asked (str): what was asked, shortened
            kept_question (str): the question that is kept, shortened; empty: none was near
            entry_id (None | UUID): the kept answer; null: none was near
            similarity (float): the cosine of the two
            likelihood (float | None): how likely its answer is right
            threshold (float | None): the likelihood from which on it is a hit
            veto (str): the guard that objected; empty: none did
            was_served (bool): whether it was the answer
            is_shadow (bool): whether the policy only watched
            is_recheck (bool): whether it was asked all the same, to learn
            right (bool | None): whether it would have been right; null: not known
    """

    asked: str
    kept_question: str
    entry_id: None | UUID
    similarity: float
    likelihood: float | None
    threshold: float | None
    veto: str
    was_served: bool
    is_shadow: bool
    is_recheck: bool
    right: bool | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        asked = self.asked

        kept_question = self.kept_question

        entry_id: None | str
        if isinstance(self.entry_id, UUID):
            entry_id = str(self.entry_id)
        else:
            entry_id = self.entry_id

        similarity = self.similarity

        likelihood: float | None
        likelihood = self.likelihood

        threshold: float | None
        threshold = self.threshold

        veto = self.veto

        was_served = self.was_served

        is_shadow = self.is_shadow

        is_recheck = self.is_recheck

        right: bool | None
        right = self.right

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "asked": asked,
                "kept_question": kept_question,
                "entry_id": entry_id,
                "similarity": similarity,
                "likelihood": likelihood,
                "threshold": threshold,
                "veto": veto,
                "was_served": was_served,
                "is_shadow": is_shadow,
                "is_recheck": is_recheck,
                "right": right,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        asked = d.pop("asked")

        kept_question = d.pop("kept_question")

        def _parse_entry_id(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                entry_id_type_0 = UUID(data)

                return entry_id_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        entry_id = _parse_entry_id(d.pop("entry_id"))

        similarity = d.pop("similarity")

        def _parse_likelihood(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        likelihood = _parse_likelihood(d.pop("likelihood"))

        def _parse_threshold(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        threshold = _parse_threshold(d.pop("threshold"))

        veto = d.pop("veto")

        was_served = d.pop("was_served")

        is_shadow = d.pop("is_shadow")

        is_recheck = d.pop("is_recheck")

        def _parse_right(data: object) -> bool | None:
            if data is None:
                return data
            return cast(bool | None, data)

        right = _parse_right(d.pop("right"))

        lookup_answer = cls(
            asked=asked,
            kept_question=kept_question,
            entry_id=entry_id,
            similarity=similarity,
            likelihood=likelihood,
            threshold=threshold,
            veto=veto,
            was_served=was_served,
            is_shadow=is_shadow,
            is_recheck=is_recheck,
            right=right,
        )

        lookup_answer.additional_properties = d
        return lookup_answer

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
