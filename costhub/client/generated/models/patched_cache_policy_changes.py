from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode
from ..models.sharing_enum import SharingEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="PatchedCachePolicyChanges")


@_attrs_define
class PatchedCachePolicyChanges:
    """What may change.

    Attributes:
        mode (Mode | Unset):
        semantic (Mode | Unset):
        ttl_seconds (int | Unset): for how many seconds an answer may be given again
        max_temperature (str | Unset): calls above it are not answered from the cache
        max_error_rate (str | Unset): how many hits by meaning may be wrong, as a share between 0 and 1
        sharing (SharingEnum | Unset):
        marks_prompts (bool | Unset): whether long prompts are marked for the provider's own cache
        replay_ms (int | Unset): how many milliseconds lie between the events of a kept stream that is given again; 0:
            at once
        holdout_percent (int | Unset): how many of the calls are asked although they might be hits, to prove the effect
    """

    mode: Mode | Unset = UNSET
    semantic: Mode | Unset = UNSET
    ttl_seconds: int | Unset = UNSET
    max_temperature: str | Unset = UNSET
    max_error_rate: str | Unset = UNSET
    sharing: SharingEnum | Unset = UNSET
    marks_prompts: bool | Unset = UNSET
    replay_ms: int | Unset = UNSET
    holdout_percent: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        mode: str | Unset = UNSET
        if not isinstance(self.mode, Unset):
            mode = self.mode.value

        semantic: str | Unset = UNSET
        if not isinstance(self.semantic, Unset):
            semantic = self.semantic.value

        ttl_seconds = self.ttl_seconds

        max_temperature = self.max_temperature

        max_error_rate = self.max_error_rate

        sharing: str | Unset = UNSET
        if not isinstance(self.sharing, Unset):
            sharing = self.sharing.value

        marks_prompts = self.marks_prompts

        replay_ms = self.replay_ms

        holdout_percent = self.holdout_percent

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if mode is not UNSET:
            field_dict["mode"] = mode
        if semantic is not UNSET:
            field_dict["semantic"] = semantic
        if ttl_seconds is not UNSET:
            field_dict["ttl_seconds"] = ttl_seconds
        if max_temperature is not UNSET:
            field_dict["max_temperature"] = max_temperature
        if max_error_rate is not UNSET:
            field_dict["max_error_rate"] = max_error_rate
        if sharing is not UNSET:
            field_dict["sharing"] = sharing
        if marks_prompts is not UNSET:
            field_dict["marks_prompts"] = marks_prompts
        if replay_ms is not UNSET:
            field_dict["replay_ms"] = replay_ms
        if holdout_percent is not UNSET:
            field_dict["holdout_percent"] = holdout_percent

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _mode = d.pop("mode", UNSET)
        mode: Mode | Unset
        if isinstance(_mode, Unset):
            mode = UNSET
        else:
            mode = Mode(_mode)

        _semantic = d.pop("semantic", UNSET)
        semantic: Mode | Unset
        if isinstance(_semantic, Unset):
            semantic = UNSET
        else:
            semantic = Mode(_semantic)

        ttl_seconds = d.pop("ttl_seconds", UNSET)

        max_temperature = d.pop("max_temperature", UNSET)

        max_error_rate = d.pop("max_error_rate", UNSET)

        _sharing = d.pop("sharing", UNSET)
        sharing: SharingEnum | Unset
        if isinstance(_sharing, Unset):
            sharing = UNSET
        else:
            sharing = SharingEnum(_sharing)

        marks_prompts = d.pop("marks_prompts", UNSET)

        replay_ms = d.pop("replay_ms", UNSET)

        holdout_percent = d.pop("holdout_percent", UNSET)

        patched_cache_policy_changes = cls(
            mode=mode,
            semantic=semantic,
            ttl_seconds=ttl_seconds,
            max_temperature=max_temperature,
            max_error_rate=max_error_rate,
            sharing=sharing,
            marks_prompts=marks_prompts,
            replay_ms=replay_ms,
            holdout_percent=holdout_percent,
        )

        patched_cache_policy_changes.additional_properties = d
        return patched_cache_policy_changes

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
