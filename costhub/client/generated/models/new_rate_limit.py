from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.scope_enum import ScopeEnum
from ..models.unit_enum import UnitEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.within import Within


T = TypeVar("T", bound="NewRateLimit")


@_attrs_define
class NewRateLimit:
    """What a rate limit is made of; ``limit`` is a whole number, or USD where that is the unit.

    Attributes:
        scope (ScopeEnum):
        unit (UnitEnum):
        limit (str): the most that may happen in a window: requests, tokens, calls under way, or decimal USD
        subject (None | str | Unset): which one of the scope, by id or name; empty: each one for itself
        within (None | Unset | Within): the one project or key whose calls are counted; null: all
        window_seconds (int | Unset): the length of the window, which slides
        is_shadow (bool | Unset): whether it only notes what it would have refused
    """

    scope: ScopeEnum
    unit: UnitEnum
    limit: str
    subject: None | str | Unset = UNSET
    within: None | Unset | Within = UNSET
    window_seconds: int | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.within import Within  # noqa: PLC0415

        scope = self.scope.value

        unit = self.unit.value

        limit = self.limit

        subject: None | str | Unset
        if isinstance(self.subject, Unset):
            subject = UNSET
        else:
            subject = self.subject

        within: dict[str, Any] | None | Unset
        if isinstance(self.within, Unset):
            within = UNSET
        elif isinstance(self.within, Within):
            within = self.within.to_dict()
        else:
            within = self.within

        window_seconds = self.window_seconds

        is_shadow = self.is_shadow

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "scope": scope,
                "unit": unit,
                "limit": limit,
            }
        )
        if subject is not UNSET:
            field_dict["subject"] = subject
        if within is not UNSET:
            field_dict["within"] = within
        if window_seconds is not UNSET:
            field_dict["window_seconds"] = window_seconds
        if is_shadow is not UNSET:
            field_dict["is_shadow"] = is_shadow

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.within import Within  # noqa: PLC0415

        d = dict(src_dict)
        scope = ScopeEnum(d.pop("scope"))

        unit = UnitEnum(d.pop("unit"))

        limit = d.pop("limit")

        def _parse_subject(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        subject = _parse_subject(d.pop("subject", UNSET))

        def _parse_within(data: object) -> None | Unset | Within:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                within_type_0 = Within.from_dict(data)

                return within_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | Within, data)

        within = _parse_within(d.pop("within", UNSET))

        window_seconds = d.pop("window_seconds", UNSET)

        is_shadow = d.pop("is_shadow", UNSET)

        new_rate_limit = cls(
            scope=scope,
            unit=unit,
            limit=limit,
            subject=subject,
            within=within,
            window_seconds=window_seconds,
            is_shadow=is_shadow,
        )

        new_rate_limit.additional_properties = d
        return new_rate_limit

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
