from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.condition_tags import ConditionTags


T = TypeVar("T", bound="Condition")


@_attrs_define
class Condition:
    """For which calls a target is there: all that is said must hold. Lengths are in tokens of about four bytes;
    ``is_degraded``: a budget's ladder has the call on a rung.

        Attributes:
            tags (ConditionTags | Unset): the tags that a call must carry, by name
            end_users (list[str] | Unset): end users, as the application names them
            min_tokens (int | Unset): the prompt has at least this many tokens
            max_tokens (int | Unset): the prompt has at most this many tokens
            has_tools (bool | Unset): whether the call brings tools
            is_degraded (bool | Unset): whether a budget's ladder has the call on a rung
    """

    tags: ConditionTags | Unset = UNSET
    end_users: list[str] | Unset = UNSET
    min_tokens: int | Unset = UNSET
    max_tokens: int | Unset = UNSET
    has_tools: bool | Unset = UNSET
    is_degraded: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        tags: dict[str, Any] | Unset = UNSET
        if not isinstance(self.tags, Unset):
            tags = self.tags.to_dict()

        end_users: list[str] | Unset = UNSET
        if not isinstance(self.end_users, Unset):
            end_users = self.end_users

        min_tokens = self.min_tokens

        max_tokens = self.max_tokens

        has_tools = self.has_tools

        is_degraded = self.is_degraded

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if tags is not UNSET:
            field_dict["tags"] = tags
        if end_users is not UNSET:
            field_dict["end_users"] = end_users
        if min_tokens is not UNSET:
            field_dict["min_tokens"] = min_tokens
        if max_tokens is not UNSET:
            field_dict["max_tokens"] = max_tokens
        if has_tools is not UNSET:
            field_dict["has_tools"] = has_tools
        if is_degraded is not UNSET:
            field_dict["is_degraded"] = is_degraded

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.condition_tags import ConditionTags  # noqa: PLC0415

        d = dict(src_dict)
        _tags = d.pop("tags", UNSET)
        tags: ConditionTags | Unset
        if isinstance(_tags, Unset):
            tags = UNSET
        else:
            tags = ConditionTags.from_dict(_tags)

        end_users = cast(list[str], d.pop("end_users", UNSET))

        min_tokens = d.pop("min_tokens", UNSET)

        max_tokens = d.pop("max_tokens", UNSET)

        has_tools = d.pop("has_tools", UNSET)

        is_degraded = d.pop("is_degraded", UNSET)

        condition = cls(
            tags=tags,
            end_users=end_users,
            min_tokens=min_tokens,
            max_tokens=max_tokens,
            has_tools=has_tools,
            is_degraded=is_degraded,
        )

        condition.additional_properties = d
        return condition

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
