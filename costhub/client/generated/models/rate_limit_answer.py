from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.scope_enum import ScopeEnum
from ..models.unit_enum import UnitEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.rate_limit_answer_within_type_0 import RateLimitAnswerWithinType0


T = TypeVar("T", bound="RateLimitAnswer")


@_attrs_define
class RateLimitAnswer:
    """A rate limit: ``limit`` is a number of calls or tokens, or an amount of USD.

    Attributes:
        id (UUID): the row's id
        scope (ScopeEnum):
        within (None | RateLimitAnswerWithinType0): the one project or key whose calls are counted; null for all
        unit (UnitEnum):
        limit (str): Nine decimal places of USD, or a whole number.
        window_seconds (int): the length of the window, which slides
        created_at (datetime.datetime): when it was made
        subject (str | Unset): which one of the scope, by id or name; empty: each one for itself
        is_shadow (bool | Unset): whether it only notes what it would have refused
        is_active (bool | Unset): whether it is in force; what is switched off keeps its row
    """

    id: UUID
    scope: ScopeEnum
    within: None | RateLimitAnswerWithinType0
    unit: UnitEnum
    limit: str
    window_seconds: int
    created_at: datetime.datetime
    subject: str | Unset = UNSET
    is_shadow: bool | Unset = UNSET
    is_active: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.rate_limit_answer_within_type_0 import RateLimitAnswerWithinType0  # noqa: PLC0415

        id = str(self.id)

        scope = self.scope.value

        within: dict[str, Any] | None
        if isinstance(self.within, RateLimitAnswerWithinType0):
            within = self.within.to_dict()
        else:
            within = self.within

        unit = self.unit.value

        limit = self.limit

        window_seconds = self.window_seconds

        created_at = self.created_at.isoformat()

        subject = self.subject

        is_shadow = self.is_shadow

        is_active = self.is_active

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "scope": scope,
                "within": within,
                "unit": unit,
                "limit": limit,
                "window_seconds": window_seconds,
                "created_at": created_at,
            }
        )
        if subject is not UNSET:
            field_dict["subject"] = subject
        if is_shadow is not UNSET:
            field_dict["is_shadow"] = is_shadow
        if is_active is not UNSET:
            field_dict["is_active"] = is_active

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rate_limit_answer_within_type_0 import RateLimitAnswerWithinType0  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        scope = ScopeEnum(d.pop("scope"))

        def _parse_within(data: object) -> None | RateLimitAnswerWithinType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                within_type_0 = RateLimitAnswerWithinType0.from_dict(data)

                return within_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RateLimitAnswerWithinType0, data)

        within = _parse_within(d.pop("within"))

        unit = UnitEnum(d.pop("unit"))

        limit = d.pop("limit")

        window_seconds = d.pop("window_seconds")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        subject = d.pop("subject", UNSET)

        is_shadow = d.pop("is_shadow", UNSET)

        is_active = d.pop("is_active", UNSET)

        rate_limit_answer = cls(
            id=id,
            scope=scope,
            within=within,
            unit=unit,
            limit=limit,
            window_seconds=window_seconds,
            created_at=created_at,
            subject=subject,
            is_shadow=is_shadow,
            is_active=is_active,
        )

        rate_limit_answer.additional_properties = d
        return rate_limit_answer

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
