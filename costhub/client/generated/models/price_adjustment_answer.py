from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.price_adjustment_kind import PriceAdjustmentKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="PriceAdjustmentAnswer")


@_attrs_define
class PriceAdjustmentAnswer:
    """A discount or mark-up: of one model's list price, or of those of all models of an upstream.

    Attributes:
        id (UUID): the row's id
        kind (PriceAdjustmentKind):
        percent (str): Without its sign.
        created_at (datetime.datetime): when it was made
        model (None | str | Unset): a model, by the organisation's name for it
        upstream (None | str | Unset): an upstream, by id; where it is written also by name
        effective_from (datetime.datetime | Unset): from when on it holds; prices are never edited, only followed
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    kind: PriceAdjustmentKind
    percent: str
    created_at: datetime.datetime
    model: None | str | Unset = UNSET
    upstream: None | str | Unset = UNSET
    effective_from: datetime.datetime | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        kind = self.kind.value

        percent = self.percent

        created_at = self.created_at.isoformat()

        model: None | str | Unset
        if isinstance(self.model, Unset):
            model = UNSET
        else:
            model = self.model

        upstream: None | str | Unset
        if isinstance(self.upstream, Unset):
            upstream = UNSET
        else:
            upstream = self.upstream

        effective_from: str | Unset = UNSET
        if not isinstance(self.effective_from, Unset):
            effective_from = self.effective_from.isoformat()

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "kind": kind,
                "percent": percent,
                "created_at": created_at,
            }
        )
        if model is not UNSET:
            field_dict["model"] = model
        if upstream is not UNSET:
            field_dict["upstream"] = upstream
        if effective_from is not UNSET:
            field_dict["effective_from"] = effective_from
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        kind = PriceAdjustmentKind(d.pop("kind"))

        percent = d.pop("percent")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_model(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        model = _parse_model(d.pop("model", UNSET))

        def _parse_upstream(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        upstream = _parse_upstream(d.pop("upstream", UNSET))

        _effective_from = d.pop("effective_from", UNSET)
        effective_from: datetime.datetime | Unset
        if isinstance(_effective_from, Unset):
            effective_from = UNSET
        else:
            effective_from = datetime.datetime.fromisoformat(_effective_from)

        created_by = d.pop("created_by", UNSET)

        price_adjustment_answer = cls(
            id=id,
            kind=kind,
            percent=percent,
            created_at=created_at,
            model=model,
            upstream=upstream,
            effective_from=effective_from,
            created_by=created_by,
        )

        price_adjustment_answer.additional_properties = d
        return price_adjustment_answer

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
