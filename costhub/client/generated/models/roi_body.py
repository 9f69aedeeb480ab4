from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.batch_body import BatchBody
    from ..models.cache_body import CacheBody
    from ..models.fine_tune_body import FineTuneBody
    from ..models.ledger_body import LedgerBody
    from ..models.roi_body_ranges import RoiBodyRanges
    from ..models.route_body import RouteBody
    from ..models.self_host_body import SelfHostBody
    from ..models.traffic_body import TrafficBody


T = TypeVar("T", bound="RoiBody")


@_attrs_define
class RoiBody:
    """One scenario by its name, its assumptions in it; the traffic, typed or the ledger's; and what is uncertain.

    Attributes:
        fine_tune (FineTuneBody | Unset): Training once, then calls at the trained model's prices. ``escalated_percent``
            of them are asked of the present
            model again; ``input_tokens`` is a call's prompt where the trained model needs a shorter one.
        route (RouteBody | Unset): A share of the calls is sent to a cheaper model, and some of these are escalated:
            asked again as now.
        self_host (SelfHostBody | Unset): GPUs in place of the API. ``tokens_per_second`` is what one of them reads and
            writes when it is busy, which it is
            for ``utilisation_percent`` of the day. Without ``gpus`` there are as many as the traffic needs.
        cache (CacheBody | Unset): A share of the calls is answered from a cache. ``per_request`` is what looking costs.
        batch (BatchBody | Unset): A share of the calls can wait, and gets a discount for it.
        traffic (TrafficBody | Unset): An average day as somebody expects it: calls, their tokens, and the prices that
            are paid for them now.
        ledger (LedgerBody | Unset): Whose calls of the ledger make the average day, and of how many weeks until now: 4,
            if it is not said.
        horizon_days (int | Unset): 365, if it is not said
        ranges (RoiBodyRanges | Unset): low and high, by the name of an assumption; traffic in per cent
        seed (int | Unset): by which the same is drawn again
        trials (int | Unset): 1000, if it is not said
    """

    fine_tune: FineTuneBody | Unset = UNSET
    route: RouteBody | Unset = UNSET
    self_host: SelfHostBody | Unset = UNSET
    cache: CacheBody | Unset = UNSET
    batch: BatchBody | Unset = UNSET
    traffic: TrafficBody | Unset = UNSET
    ledger: LedgerBody | Unset = UNSET
    horizon_days: int | Unset = UNSET
    ranges: RoiBodyRanges | Unset = UNSET
    seed: int | Unset = UNSET
    trials: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        fine_tune: dict[str, Any] | Unset = UNSET
        if not isinstance(self.fine_tune, Unset):
            fine_tune = self.fine_tune.to_dict()

        route: dict[str, Any] | Unset = UNSET
        if not isinstance(self.route, Unset):
            route = self.route.to_dict()

        self_host: dict[str, Any] | Unset = UNSET
        if not isinstance(self.self_host, Unset):
            self_host = self.self_host.to_dict()

        cache: dict[str, Any] | Unset = UNSET
        if not isinstance(self.cache, Unset):
            cache = self.cache.to_dict()

        batch: dict[str, Any] | Unset = UNSET
        if not isinstance(self.batch, Unset):
            batch = self.batch.to_dict()

        traffic: dict[str, Any] | Unset = UNSET
        if not isinstance(self.traffic, Unset):
            traffic = self.traffic.to_dict()

        ledger: dict[str, Any] | Unset = UNSET
        if not isinstance(self.ledger, Unset):
            ledger = self.ledger.to_dict()

        horizon_days = self.horizon_days

        ranges: dict[str, Any] | Unset = UNSET
        if not isinstance(self.ranges, Unset):
            ranges = self.ranges.to_dict()

        seed = self.seed

        trials = self.trials

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if fine_tune is not UNSET:
            field_dict["fine_tune"] = fine_tune
        if route is not UNSET:
            field_dict["route"] = route
        if self_host is not UNSET:
            field_dict["self_host"] = self_host
        if cache is not UNSET:
            field_dict["cache"] = cache
        if batch is not UNSET:
            field_dict["batch"] = batch
        if traffic is not UNSET:
            field_dict["traffic"] = traffic
        if ledger is not UNSET:
            field_dict["ledger"] = ledger
        if horizon_days is not UNSET:
            field_dict["horizon_days"] = horizon_days
        if ranges is not UNSET:
            field_dict["ranges"] = ranges
        if seed is not UNSET:
            field_dict["seed"] = seed
        if trials is not UNSET:
            field_dict["trials"] = trials

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.batch_body import BatchBody  # noqa: PLC0415
        from ..models.cache_body import CacheBody  # noqa: PLC0415
        from ..models.fine_tune_body import FineTuneBody  # noqa: PLC0415
        from ..models.ledger_body import LedgerBody  # noqa: PLC0415
        from ..models.roi_body_ranges import RoiBodyRanges  # noqa: PLC0415
        from ..models.route_body import RouteBody  # noqa: PLC0415
        from ..models.self_host_body import SelfHostBody  # noqa: PLC0415
        from ..models.traffic_body import TrafficBody  # noqa: PLC0415

        d = dict(src_dict)
        _fine_tune = d.pop("fine_tune", UNSET)
        fine_tune: FineTuneBody | Unset
        if isinstance(_fine_tune, Unset):
            fine_tune = UNSET
        else:
            fine_tune = FineTuneBody.from_dict(_fine_tune)

        _route = d.pop("route", UNSET)
        route: RouteBody | Unset
        if isinstance(_route, Unset):
            route = UNSET
        else:
            route = RouteBody.from_dict(_route)

        _self_host = d.pop("self_host", UNSET)
        self_host: SelfHostBody | Unset
        if isinstance(_self_host, Unset):
            self_host = UNSET
        else:
            self_host = SelfHostBody.from_dict(_self_host)

        _cache = d.pop("cache", UNSET)
        cache: CacheBody | Unset
        if isinstance(_cache, Unset):
            cache = UNSET
        else:
            cache = CacheBody.from_dict(_cache)

        _batch = d.pop("batch", UNSET)
        batch: BatchBody | Unset
        if isinstance(_batch, Unset):
            batch = UNSET
        else:
            batch = BatchBody.from_dict(_batch)

        _traffic = d.pop("traffic", UNSET)
        traffic: TrafficBody | Unset
        if isinstance(_traffic, Unset):
            traffic = UNSET
        else:
            traffic = TrafficBody.from_dict(_traffic)

        _ledger = d.pop("ledger", UNSET)
        ledger: LedgerBody | Unset
        if isinstance(_ledger, Unset):
            ledger = UNSET
        else:
            ledger = LedgerBody.from_dict(_ledger)

        horizon_days = d.pop("horizon_days", UNSET)

        _ranges = d.pop("ranges", UNSET)
        ranges: RoiBodyRanges | Unset
        if isinstance(_ranges, Unset):
            ranges = UNSET
        else:
            ranges = RoiBodyRanges.from_dict(_ranges)

        seed = d.pop("seed", UNSET)

        trials = d.pop("trials", UNSET)

        roi_body = cls(
            fine_tune=fine_tune,
            route=route,
            self_host=self_host,
            cache=cache,
            batch=batch,
            traffic=traffic,
            ledger=ledger,
            horizon_days=horizon_days,
            ranges=ranges,
            seed=seed,
            trials=trials,
        )

        roi_body.additional_properties = d
        return roi_body

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
