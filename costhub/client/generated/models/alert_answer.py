from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.alert_kind import AlertKind
from ..models.severity_enum import SeverityEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.alert_answer_figures import AlertAnswerFigures


T = TypeVar("T", bound="AlertAnswer")


@_attrs_define
class AlertAnswer:
    """An alert in words and in figures. Money in ``facts`` is nano-USD.

    Attributes:
        id (UUID): the row's id
        kind (AlertKind):
        severity (SeverityEnum):
        title (str): One sentence.
        advice (str): What follows, or what to do.
        figures (AlertAnswerFigures): By name.
        rule (UUID): the rule that it is by; null: none
        subject (str): which one of the scope, by id or name; empty: each one for itself
        threshold (int): the threshold that was crossed; null: there is none
        window_start (datetime.datetime): the start of the period that it is about
        created_at (datetime.datetime): when it was made
        facts (Any | Unset): what it is about, by name; money is whole nano-USD
        ended_at (datetime.datetime | None | Unset): when it ended; null: it has not
        acknowledged_at (datetime.datetime | None | Unset): when somebody acknowledged it; null: nobody yet
        acknowledged_by (str | Unset): who acknowledged it
    """

    id: UUID
    kind: AlertKind
    severity: SeverityEnum
    title: str
    advice: str
    figures: AlertAnswerFigures
    rule: UUID
    subject: str
    threshold: int
    window_start: datetime.datetime
    created_at: datetime.datetime
    facts: Any | Unset = UNSET
    ended_at: datetime.datetime | None | Unset = UNSET
    acknowledged_at: datetime.datetime | None | Unset = UNSET
    acknowledged_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        kind = self.kind.value

        severity = self.severity.value

        title = self.title

        advice = self.advice

        figures = self.figures.to_dict()

        rule = str(self.rule)

        subject = self.subject

        threshold = self.threshold

        window_start = self.window_start.isoformat()

        created_at = self.created_at.isoformat()

        facts = self.facts

        ended_at: None | str | Unset
        if isinstance(self.ended_at, Unset):
            ended_at = UNSET
        elif isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        acknowledged_at: None | str | Unset
        if isinstance(self.acknowledged_at, Unset):
            acknowledged_at = UNSET
        elif isinstance(self.acknowledged_at, datetime.datetime):
            acknowledged_at = self.acknowledged_at.isoformat()
        else:
            acknowledged_at = self.acknowledged_at

        acknowledged_by = self.acknowledged_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "severity": severity,
                "title": title,
                "advice": advice,
                "figures": figures,
                "rule": rule,
                "subject": subject,
                "threshold": threshold,
                "window_start": window_start,
                "created_at": created_at,
            }
        )
        if facts is not UNSET:
            field_dict["facts"] = facts
        if ended_at is not UNSET:
            field_dict["ended_at"] = ended_at
        if acknowledged_at is not UNSET:
            field_dict["acknowledged_at"] = acknowledged_at
        if acknowledged_by is not UNSET:
            field_dict["acknowledged_by"] = acknowledged_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.alert_answer_figures import AlertAnswerFigures  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        kind = AlertKind(d.pop("kind"))

        severity = SeverityEnum(d.pop("severity"))

        title = d.pop("title")

        advice = d.pop("advice")

        figures = AlertAnswerFigures.from_dict(d.pop("figures"))

        rule = UUID(d.pop("rule"))

        subject = d.pop("subject")

        threshold = d.pop("threshold")

        window_start = datetime.datetime.fromisoformat(d.pop("window_start"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        facts = d.pop("facts", UNSET)

        def _parse_ended_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)

                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        ended_at = _parse_ended_at(d.pop("ended_at", UNSET))

        def _parse_acknowledged_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                acknowledged_at_type_0 = datetime.datetime.fromisoformat(data)

                return acknowledged_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        acknowledged_at = _parse_acknowledged_at(d.pop("acknowledged_at", UNSET))

        acknowledged_by = d.pop("acknowledged_by", UNSET)

        alert_answer = cls(
            id=id,
            kind=kind,
            severity=severity,
            title=title,
            advice=advice,
            figures=figures,
            rule=rule,
            subject=subject,
            threshold=threshold,
            window_start=window_start,
            created_at=created_at,
            facts=facts,
            ended_at=ended_at,
            acknowledged_at=acknowledged_at,
            acknowledged_by=acknowledged_by,
        )

        alert_answer.additional_properties = d
        return alert_answer

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
