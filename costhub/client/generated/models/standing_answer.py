from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.standing_answer_within_type_0 import StandingAnswerWithinType0


T = TypeVar("T", bound="StandingAnswer")


@_attrs_define
class StandingAnswer:
    """One subject of one budget in its current period, decimal USD. ``left`` is limit less spent and held; ``held`` is
    null while the counters cannot be read. An empty ``subject`` is a default that nobody has spent from yet, or one of
    runs, which are not listed.

        Attributes:
            budget (UUID): a budget, by id
            name (str): a name for people
            scope (str): whose calls are counted
            subject (str): which one of the scope, by id or name; empty: each one for itself
            subject_name (str): the subject's name of today
            within (None | StandingAnswerWithinType0): the one project or key whose calls are counted; null: all
            period (str): the time after which what is spent counts from zero again; total never does
            action (str): what happens at the limit: block refuses, warn only tells, degrade walks down the ladder
            is_shadow (bool): whether it only notes what it would have refused
            is_default (bool): whether the budget is one of each subject's own
            limit (str): the most that may be spent in a period, decimal USD
            spent (str): what is spent of it so far, decimal USD
            held (None | str): what is held for calls under way, decimal USD; null while the counters cannot be read
            left (str): the limit less spent and held, decimal USD
            used_percent (str): spent, as per cent of the limit
            resets_at (datetime.datetime | None): when the next period begins; null: never
            more (int): of a default, how many subjects have spent under it and are not listed, because they spent less
            burn_per_day (str): at the pace of the period so far
            empty_at (datetime.datetime | None): when nothing is left at that pace
    """

    budget: UUID
    name: str
    scope: str
    subject: str
    subject_name: str
    within: None | StandingAnswerWithinType0
    period: str
    action: str
    is_shadow: bool
    is_default: bool
    limit: str
    spent: str
    held: None | str
    left: str
    used_percent: str
    resets_at: datetime.datetime | None
    more: int
    burn_per_day: str
    empty_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.standing_answer_within_type_0 import StandingAnswerWithinType0  # noqa: PLC0415

        budget = str(self.budget)

        name = self.name

        scope = self.scope

        subject = self.subject

        subject_name = self.subject_name

        within: dict[str, Any] | None
        if isinstance(self.within, StandingAnswerWithinType0):
            within = self.within.to_dict()
        else:
            within = self.within

        period = self.period

        action = self.action

        is_shadow = self.is_shadow

        is_default = self.is_default

        limit = self.limit

        spent = self.spent

        held: None | str
        held = self.held

        left = self.left

        used_percent = self.used_percent

        resets_at: None | str
        if isinstance(self.resets_at, datetime.datetime):
            resets_at = self.resets_at.isoformat()
        else:
            resets_at = self.resets_at

        more = self.more

        burn_per_day = self.burn_per_day

        empty_at: None | str
        if isinstance(self.empty_at, datetime.datetime):
            empty_at = self.empty_at.isoformat()
        else:
            empty_at = self.empty_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "budget": budget,
                "name": name,
                "scope": scope,
                "subject": subject,
                "subject_name": subject_name,
                "within": within,
                "period": period,
                "action": action,
                "is_shadow": is_shadow,
                "is_default": is_default,
                "limit": limit,
                "spent": spent,
                "held": held,
                "left": left,
                "used_percent": used_percent,
                "resets_at": resets_at,
                "more": more,
                "burn_per_day": burn_per_day,
                "empty_at": empty_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.standing_answer_within_type_0 import StandingAnswerWithinType0  # noqa: PLC0415

        d = dict(src_dict)
        budget = UUID(d.pop("budget"))

        name = d.pop("name")

        scope = d.pop("scope")

        subject = d.pop("subject")

        subject_name = d.pop("subject_name")

        def _parse_within(data: object) -> None | StandingAnswerWithinType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                within_type_0 = StandingAnswerWithinType0.from_dict(data)

                return within_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | StandingAnswerWithinType0, data)

        within = _parse_within(d.pop("within"))

        period = d.pop("period")

        action = d.pop("action")

        is_shadow = d.pop("is_shadow")

        is_default = d.pop("is_default")

        limit = d.pop("limit")

        spent = d.pop("spent")

        def _parse_held(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        held = _parse_held(d.pop("held"))

        left = d.pop("left")

        used_percent = d.pop("used_percent")

        def _parse_resets_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                resets_at_type_0 = datetime.datetime.fromisoformat(data)

                return resets_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        resets_at = _parse_resets_at(d.pop("resets_at"))

        more = d.pop("more")

        burn_per_day = d.pop("burn_per_day")

        def _parse_empty_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                empty_at_type_0 = datetime.datetime.fromisoformat(data)

                return empty_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        empty_at = _parse_empty_at(d.pop("empty_at"))

        standing_answer = cls(
            budget=budget,
            name=name,
            scope=scope,
            subject=subject,
            subject_name=subject_name,
            within=within,
            period=period,
            action=action,
            is_shadow=is_shadow,
            is_default=is_default,
            limit=limit,
            spent=spent,
            held=held,
            left=left,
            used_percent=used_percent,
            resets_at=resets_at,
            more=more,
            burn_per_day=burn_per_day,
            empty_at=empty_at,
        )

        standing_answer.additional_properties = d
        return standing_answer

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
