from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.anomaly_answer_driver_type_0 import AnomalyAnswerDriverType0
    from ..models.excess_answer import ExcessAnswer


T = TypeVar("T", bound="AnomalyAnswer")


@_attrs_define
class AnomalyAnswer:
    """An unusual day or hour. Money is decimal USD; ``low`` to ``high`` would have been usual.

    Attributes:
        id (UUID): the row's id
        scope (str): whose calls are counted
        subject (str): which one of the scope, by id or name; empty: each one for itself
        unit (str): how long it lasted: an hour or a day
        starts (datetime.datetime): when it began
        severity (str): how grave it is
        actual (str): what was spent, decimal USD
        expected (str): what is expected, decimal USD
        low (str): where the likely range begins
        high (str): where the likely range ends
        cause (str): what most of it is due to
        excess (ExcessAnswer): ``actual - expected``, by what made it; the parts add up to it.
        driver (AnomalyAnswerDriverType0 | None): None when nobody inside pulls in the direction of the whole.
        created_at (datetime.datetime): when it was made
    """

    id: UUID
    scope: str
    subject: str
    unit: str
    starts: datetime.datetime
    severity: str
    actual: str
    expected: str
    low: str
    high: str
    cause: str
    excess: ExcessAnswer
    driver: AnomalyAnswerDriverType0 | None
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.anomaly_answer_driver_type_0 import AnomalyAnswerDriverType0  # noqa: PLC0415

        id = str(self.id)

        scope = self.scope

        subject = self.subject

        unit = self.unit

        starts = self.starts.isoformat()

        severity = self.severity

        actual = self.actual

        expected = self.expected

        low = self.low

        high = self.high

        cause = self.cause

        excess = self.excess.to_dict()

        driver: dict[str, Any] | None
        if isinstance(self.driver, AnomalyAnswerDriverType0):
            driver = self.driver.to_dict()
        else:
            driver = self.driver

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "scope": scope,
                "subject": subject,
                "unit": unit,
                "starts": starts,
                "severity": severity,
                "actual": actual,
                "expected": expected,
                "low": low,
                "high": high,
                "cause": cause,
                "excess": excess,
                "driver": driver,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.anomaly_answer_driver_type_0 import AnomalyAnswerDriverType0  # noqa: PLC0415
        from ..models.excess_answer import ExcessAnswer  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        scope = d.pop("scope")

        subject = d.pop("subject")

        unit = d.pop("unit")

        starts = datetime.datetime.fromisoformat(d.pop("starts"))

        severity = d.pop("severity")

        actual = d.pop("actual")

        expected = d.pop("expected")

        low = d.pop("low")

        high = d.pop("high")

        cause = d.pop("cause")

        excess = ExcessAnswer.from_dict(d.pop("excess"))

        def _parse_driver(data: object) -> AnomalyAnswerDriverType0 | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                driver_type_0 = AnomalyAnswerDriverType0.from_dict(data)

                return driver_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(AnomalyAnswerDriverType0 | None, data)

        driver = _parse_driver(d.pop("driver"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        anomaly_answer = cls(
            id=id,
            scope=scope,
            subject=subject,
            unit=unit,
            starts=starts,
            severity=severity,
            actual=actual,
            expected=expected,
            low=low,
            high=high,
            cause=cause,
            excess=excess,
            driver=driver,
            created_at=created_at,
        )

        anomaly_answer.additional_properties = d
        return anomaly_answer

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
