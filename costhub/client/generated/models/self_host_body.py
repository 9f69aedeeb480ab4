from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="SelfHostBody")


@_attrs_define
class SelfHostBody:
    """GPUs in place of the API. ``tokens_per_second`` is what one of them reads and writes when it is busy, which it is
    for ``utilisation_percent`` of the day. Without ``gpus`` there are as many as the traffic needs.

        Attributes:
            per_gpu_hour (str): USD, 0 to 10000
            tokens_per_second (str): tokens, 1 to 100000000
            utilisation_percent (str): per cent, 1 to 100
            gpus (str | Unset): GPUs, 0 to 100000
            setup_cost (str | Unset): USD, 0 to 1000000000
            operations_per_month (str | Unset): USD, 0 to 1000000000
            spot_per_gpu_hour (str | Unset): USD, 0 to 10000
            spot_percent (str | Unset): per cent, 0 to 100
            interruptions_per_day (str | Unset): interruptions of a spot GPU, 0 to 1000
            minutes_lost (str | Unset): minutes an interruption, 0 to 1440
    """

    per_gpu_hour: str
    tokens_per_second: str
    utilisation_percent: str
    gpus: str | Unset = UNSET
    setup_cost: str | Unset = UNSET
    operations_per_month: str | Unset = UNSET
    spot_per_gpu_hour: str | Unset = UNSET
    spot_percent: str | Unset = UNSET
    interruptions_per_day: str | Unset = UNSET
    minutes_lost: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        per_gpu_hour = self.per_gpu_hour

        tokens_per_second = self.tokens_per_second

        utilisation_percent = self.utilisation_percent

        gpus = self.gpus

        setup_cost = self.setup_cost

        operations_per_month = self.operations_per_month

        spot_per_gpu_hour = self.spot_per_gpu_hour

        spot_percent = self.spot_percent

        interruptions_per_day = self.interruptions_per_day

        minutes_lost = self.minutes_lost

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "per_gpu_hour": per_gpu_hour,
                "tokens_per_second": tokens_per_second,
                "utilisation_percent": utilisation_percent,
            }
        )
        if gpus is not UNSET:
            field_dict["gpus"] = gpus
        if setup_cost is not UNSET:
            field_dict["setup_cost"] = setup_cost
        if operations_per_month is not UNSET:
            field_dict["operations_per_month"] = operations_per_month
        if spot_per_gpu_hour is not UNSET:
            field_dict["spot_per_gpu_hour"] = spot_per_gpu_hour
        if spot_percent is not UNSET:
            field_dict["spot_percent"] = spot_percent
        if interruptions_per_day is not UNSET:
            field_dict["interruptions_per_day"] = interruptions_per_day
        if minutes_lost is not UNSET:
            field_dict["minutes_lost"] = minutes_lost

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        per_gpu_hour = d.pop("per_gpu_hour")

        tokens_per_second = d.pop("tokens_per_second")

        utilisation_percent = d.pop("utilisation_percent")

        gpus = d.pop("gpus", UNSET)

        setup_cost = d.pop("setup_cost", UNSET)

        operations_per_month = d.pop("operations_per_month", UNSET)

        spot_per_gpu_hour = d.pop("spot_per_gpu_hour", UNSET)

        spot_percent = d.pop("spot_percent", UNSET)

        interruptions_per_day = d.pop("interruptions_per_day", UNSET)

        minutes_lost = d.pop("minutes_lost", UNSET)

        self_host_body = cls(
            per_gpu_hour=per_gpu_hour,
            tokens_per_second=tokens_per_second,
            utilisation_percent=utilisation_percent,
            gpus=gpus,
            setup_cost=setup_cost,
            operations_per_month=operations_per_month,
            spot_per_gpu_hour=spot_per_gpu_hour,
            spot_percent=spot_percent,
            interruptions_per_day=interruptions_per_day,
            minutes_lost=minutes_lost,
        )

        self_host_body.additional_properties = d
        return self_host_body

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
