from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.tokenizer_enum import TokenizerEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewModelAnswer")


@_attrs_define
class NewModelAnswer:
    """A model, and which of its values were assumed by its name, because the body left them out.

    Attributes:
        id (UUID): the row's id
        name (str): a name for people
        upstream (UUID): an upstream, by id; where it is written also by name
        upstream_name (str): the upstream's name of today
        upstream_model (str): the model's name at the upstream
        fallbacks (list[str]): the models that are asked in its place when it does not answer, in this order
        created_at (datetime.datetime): when it was made
        assumed (list[str]): which of its values were taken from what is known of the model's name
        context_window (int | Unset): the most tokens of input and output together
        max_output_tokens (int | Unset): the most tokens of an answer
        tokenizer (TokenizerEnum | Unset):
        max_tool_calls (int | None | Unset): the most paid tool calls of a request that brings no limit of its own;
            null: it is refused
        merge_window_ms (int | Unset): for how many milliseconds calls of embeddings wait for others, to be asked as
            one; 0: they do not wait
        ends_on (str | Unset): the day on which its provider ends it; null: nobody has typed one
        student_of (str | Unset): the model whose answers it has learned from; empty: none
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    name: str
    upstream: UUID
    upstream_name: str
    upstream_model: str
    fallbacks: list[str]
    created_at: datetime.datetime
    assumed: list[str]
    context_window: int | Unset = UNSET
    max_output_tokens: int | Unset = UNSET
    tokenizer: TokenizerEnum | Unset = UNSET
    max_tool_calls: int | None | Unset = UNSET
    merge_window_ms: int | Unset = UNSET
    ends_on: str | Unset = UNSET
    student_of: str | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        upstream = str(self.upstream)

        upstream_name = self.upstream_name

        upstream_model = self.upstream_model

        fallbacks = self.fallbacks

        created_at = self.created_at.isoformat()

        assumed = self.assumed

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

        merge_window_ms = self.merge_window_ms

        ends_on = self.ends_on

        student_of = self.student_of

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "upstream": upstream,
                "upstream_name": upstream_name,
                "upstream_model": upstream_model,
                "fallbacks": fallbacks,
                "created_at": created_at,
                "assumed": assumed,
            }
        )
        if context_window is not UNSET:
            field_dict["context_window"] = context_window
        if max_output_tokens is not UNSET:
            field_dict["max_output_tokens"] = max_output_tokens
        if tokenizer is not UNSET:
            field_dict["tokenizer"] = tokenizer
        if max_tool_calls is not UNSET:
            field_dict["max_tool_calls"] = max_tool_calls
        if merge_window_ms is not UNSET:
            field_dict["merge_window_ms"] = merge_window_ms
        if ends_on is not UNSET:
            field_dict["ends_on"] = ends_on
        if student_of is not UNSET:
            field_dict["student_of"] = student_of
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        upstream = UUID(d.pop("upstream"))

        upstream_name = d.pop("upstream_name")

        upstream_model = d.pop("upstream_model")

        fallbacks = cast(list[str], d.pop("fallbacks"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        assumed = cast(list[str], d.pop("assumed"))

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

        merge_window_ms = d.pop("merge_window_ms", UNSET)

        ends_on = d.pop("ends_on", UNSET)

        student_of = d.pop("student_of", UNSET)

        is_active = d.pop("is_active", UNSET)

        new_model_answer = cls(
            id=id,
            name=name,
            upstream=upstream,
            upstream_name=upstream_name,
            upstream_model=upstream_model,
            fallbacks=fallbacks,
            created_at=created_at,
            assumed=assumed,
            context_window=context_window,
            max_output_tokens=max_output_tokens,
            tokenizer=tokenizer,
            max_tool_calls=max_tool_calls,
            merge_window_ms=merge_window_ms,
            ends_on=ends_on,
            student_of=student_of,
            is_active=is_active,
        )

        new_model_answer.additional_properties = d
        return new_model_answer

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
