from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.finding_enum import FindingEnum

T = TypeVar("T", bound="MatchAnswer")


@_attrs_define
class MatchAnswer:
    """A day (UTC) and model. ``drift`` is the ledger less the bill, in USD; ``coverage`` is per mille of the bill that
    the ledger has as well.

        Attributes:
            day (datetime.date): the day
            model (str): a model, by the organisation's name for it
            billed (None | str): what the bill has, decimal USD
            ledger (None | str): what the ledger has, decimal USD
            drift (str): the ledger less the bill, decimal USD
            coverage (int | None): per mille of the bill that the ledger has as well
            finding (FindingEnum):
            text (str): the same in a sentence
    """

    day: datetime.date
    model: str
    billed: None | str
    ledger: None | str
    drift: str
    coverage: int | None
    finding: FindingEnum
    text: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        day = self.day.isoformat()

        model = self.model

        billed: None | str
        billed = self.billed

        ledger: None | str
        ledger = self.ledger

        drift = self.drift

        coverage: int | None
        coverage = self.coverage

        finding = self.finding.value

        text = self.text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "day": day,
                "model": model,
                "billed": billed,
                "ledger": ledger,
                "drift": drift,
                "coverage": coverage,
                "finding": finding,
                "text": text,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        day = datetime.date.fromisoformat(d.pop("day"))

        model = d.pop("model")

        def _parse_billed(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        billed = _parse_billed(d.pop("billed"))

        def _parse_ledger(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        ledger = _parse_ledger(d.pop("ledger"))

        drift = d.pop("drift")

        def _parse_coverage(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        coverage = _parse_coverage(d.pop("coverage"))

        finding = FindingEnum(d.pop("finding"))

        text = d.pop("text")

        match_answer = cls(
            day=day,
            model=model,
            billed=billed,
            ledger=ledger,
            drift=drift,
            coverage=coverage,
            finding=finding,
            text=text,
        )

        match_answer.additional_properties = d
        return match_answer

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
