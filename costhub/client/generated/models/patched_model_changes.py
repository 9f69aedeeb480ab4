from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.tokenizer_enum import TokenizerEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedModelChanges")


@_attrs_define
class PatchedModelChanges:
    """What may change.

    Attributes:
        upstream (str | Unset): an upstream, by id; where it is written also by name
        upstream_model (str | Unset): the model's name at the upstream
        context_window (int | Unset): the most tokens of input and output together
        max_output_tokens (int | Unset): the most tokens of an answer
        tokenizer (TokenizerEnum | Unset):
        max_tool_calls (int | None | Unset): the most paid tool calls of a request that brings no limit of its own;
            null: it is refused
        ends_on (str | Unset): the day on which its provider ends it
        fallbacks (list[str] | Unset): names of the models that are asked in its place, in this order
        merge_window_ms (int | Unset): for how many milliseconds calls of embeddings wait for others, to be asked as
            one; 0: they do not wait
        student_of (str | Unset): the model that it was trained to stand in for
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    upstream: str | Unset = UNSET
    upstream_model: str | Unset = UNSET
    context_window: int | Unset = UNSET
    max_output_tokens: int | Unset = UNSET
    tokenizer: TokenizerEnum | Unset = UNSET
    max_tool_calls: int | None | Unset = UNSET
    ends_on: str | Unset = UNSET
    fallbacks: list[str] | Unset = UNSET
    merge_window_ms: int | Unset = UNSET
    student_of: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        upstream = self.upstream

        upstream_model = self.upstream_model

        context_window = self.context_window

        max_output_tokens = self.max_output_tokens

        tokenizer: str | Unset = UNSET
        if not isinstance(self.tokenizer, Unset):
            tokenizer = self.tokenizer.value

        max_tool_calls: int | None | Unset
        if isinstance(self.max_tool_calls, Unset):
            max_tool_calls = UNSET
        else:
            max_tool_calls = self.max_tool_calls

        ends_on = self.ends_on

        fallbacks: list[str] | Unset = UNSET
        if not isinstance(self.fallbacks, Unset):
            fallbacks = self.fallbacks

        merge_window_ms = self.merge_window_ms

        student_of = self.student_of

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if upstream is not UNSET:
            field_dict["upstream"] = upstream
        if upstream_model is not UNSET:
            field_dict["upstream_model"] = upstream_model
        if context_window is not UNSET:
            field_dict["context_window"] = context_window
        if max_output_tokens is not UNSET:
            field_dict["max_output_tokens"] = max_output_tokens
        if tokenizer is not UNSET:
            field_dict["tokenizer"] = tokenizer
        if max_tool_calls is not UNSET:
            field_dict["max_tool_calls"] = max_tool_calls
        if ends_on is not UNSET:
            field_dict["ends_on"] = ends_on
        if fallbacks is not UNSET:
            field_dict["fallbacks"] = fallbacks
        if merge_window_ms is not UNSET:
            field_dict["merge_window_ms"] = merge_window_ms
        if student_of is not UNSET:
            field_dict["student_of"] = student_of
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        upstream = d.pop("upstream", UNSET)

        upstream_model = d.pop("upstream_model", UNSET)

        context_window = d.pop("context_window", UNSET)

        max_output_tokens = d.pop("max_output_tokens", UNSET)

        _tokenizer = d.pop("tokenizer", UNSET)
        tokenizer: TokenizerEnum | Unset
        if isinstance(_tokenizer, Unset):
            tokenizer = UNSET
        else:
            tokenizer = TokenizerEnum(_tokenizer)

        def _parse_max_tool_calls(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        max_tool_calls = _parse_max_tool_calls(d.pop("max_tool_calls", UNSET))

        ends_on = d.pop("ends_on", UNSET)

        fallbacks = cast(list[str], d.pop("fallbacks", UNSET))

        merge_window_ms = d.pop("merge_window_ms", UNSET)

        student_of = d.pop("student_of", UNSET)

        is_active = d.pop("is_active", UNSET)

        patched_model_changes = cls(
            upstream=upstream,
            upstream_model=upstream_model,
            context_window=context_window,
            max_output_tokens=max_output_tokens,
            tokenizer=tokenizer,
            max_tool_calls=max_tool_calls,
            ends_on=ends_on,
            fallbacks=fallbacks,
            merge_window_ms=merge_window_ms,
            student_of=student_of,
            is_active=is_active,
        )

        patched_model_changes.additional_properties = d
        return patched_model_changes

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
