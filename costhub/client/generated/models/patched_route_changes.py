from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.mode import Mode
from ..models.route_kind import RouteKind
from ..models.sticky_enum import StickyEnum
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.target import Target


T = TypeVar("T", bound="PatchedRouteChanges")


@_attrs_define
class PatchedRouteChanges:
    """What may change. Which settings there are depends on the kind: docs/routes.md has them.

    Attributes:
        kind (RouteKind | Unset):
        mode (Mode | Unset):
        targets (list[Target] | Unset): the models that it may choose, in this order
        baseline (str | Unset): the model that would answer without the route: what savings are counted against
        sticky (StickyEnum | Unset):
        holdout_percent (int | Unset): how many of the calls are left as they were, to prove the effect
        share_percent (int | Unset): how many of the calls go to the new target
        hard_from (str | Unset): of two targets: from which estimated difficulty on the more expensive one is asked
        answer_worth (str | Unset): what a right answer is worth, decimal USD; 0: not given
        explore_percent (int | Unset): how many of the calls go elsewhere to learn
        confidence_percent (int | Unset): how sure an answer must be to stand
        latency_cap_ms (int | Unset): how many milliseconds a cascade may take; 0: no limit
        agreement_samples (int | Unset): cascade: how often the same model is asked again where its upstream does not
            say how sure an answer is; 0: never
        compare_percent (int | Unset): how many of the calls are put to the route's other end as well, to learn from
        compare_monthly_limit (str | Unset): what these comparisons may cost in a month
        pack_window_ms (int | Unset): for how many milliseconds short questions wait for each other, to be asked in one
            call; 0: each is asked alone
        pack_most (int | Unset): how many questions are asked in one call at most
        deadline_seconds (int | Unset): within how many seconds calls that can wait are answered; 0: no call waits
        stopped_tasks (list[str] | Unset): values of the tag task that are decided by the heuristic alone
        is_learning (bool | Unset): whether it learns from feedback
    """

    kind: RouteKind | Unset = UNSET
    mode: Mode | Unset = UNSET
    targets: list[Target] | Unset = UNSET
    baseline: str | Unset = UNSET
    sticky: StickyEnum | Unset = UNSET
    holdout_percent: int | Unset = UNSET
    share_percent: int | Unset = UNSET
    hard_from: str | Unset = UNSET
    answer_worth: str | Unset = UNSET
    explore_percent: int | Unset = UNSET
    confidence_percent: int | Unset = UNSET
    latency_cap_ms: int | Unset = UNSET
    agreement_samples: int | Unset = UNSET
    compare_percent: int | Unset = UNSET
    compare_monthly_limit: str | Unset = UNSET
    pack_window_ms: int | Unset = UNSET
    pack_most: int | Unset = UNSET
    deadline_seconds: int | Unset = UNSET
    stopped_tasks: list[str] | Unset = UNSET
    is_learning: bool | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind.value

        mode: str | Unset = UNSET
        if not isinstance(self.mode, Unset):
            mode = self.mode.value

        targets: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.targets, Unset):
            targets = []
            for targets_item_data in self.targets:
                targets_item = targets_item_data.to_dict()
                targets.append(targets_item)

        baseline = self.baseline

        sticky: str | Unset = UNSET
        if not isinstance(self.sticky, Unset):
            sticky = self.sticky.value

        holdout_percent = self.holdout_percent

        share_percent = self.share_percent

        hard_from = self.hard_from

        answer_worth = self.answer_worth

        explore_percent = self.explore_percent

        confidence_percent = self.confidence_percent

        latency_cap_ms = self.latency_cap_ms

        agreement_samples = self.agreement_samples

        compare_percent = self.compare_percent

        compare_monthly_limit = self.compare_monthly_limit

        pack_window_ms = self.pack_window_ms

        pack_most = self.pack_most

        deadline_seconds = self.deadline_seconds

        stopped_tasks: list[str] | Unset = UNSET
        if not isinstance(self.stopped_tasks, Unset):
            stopped_tasks = self.stopped_tasks

        is_learning = self.is_learning

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if kind is not UNSET:
            field_dict["kind"] = kind
        if mode is not UNSET:
            field_dict["mode"] = mode
        if targets is not UNSET:
            field_dict["targets"] = targets
        if baseline is not UNSET:
            field_dict["baseline"] = baseline
        if sticky is not UNSET:
            field_dict["sticky"] = sticky
        if holdout_percent is not UNSET:
            field_dict["holdout_percent"] = holdout_percent
        if share_percent is not UNSET:
            field_dict["share_percent"] = share_percent
        if hard_from is not UNSET:
            field_dict["hard_from"] = hard_from
        if answer_worth is not UNSET:
            field_dict["answer_worth"] = answer_worth
        if explore_percent is not UNSET:
            field_dict["explore_percent"] = explore_percent
        if confidence_percent is not UNSET:
            field_dict["confidence_percent"] = confidence_percent
        if latency_cap_ms is not UNSET:
            field_dict["latency_cap_ms"] = latency_cap_ms
        if agreement_samples is not UNSET:
            field_dict["agreement_samples"] = agreement_samples
        if compare_percent is not UNSET:
            field_dict["compare_percent"] = compare_percent
        if compare_monthly_limit is not UNSET:
            field_dict["compare_monthly_limit"] = compare_monthly_limit
        if pack_window_ms is not UNSET:
            field_dict["pack_window_ms"] = pack_window_ms
        if pack_most is not UNSET:
            field_dict["pack_most"] = pack_most
        if deadline_seconds is not UNSET:
            field_dict["deadline_seconds"] = deadline_seconds
        if stopped_tasks is not UNSET:
            field_dict["stopped_tasks"] = stopped_tasks
        if is_learning is not UNSET:
            field_dict["is_learning"] = is_learning

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target import Target  # noqa: PLC0415

        d = dict(src_dict)
        _kind = d.pop("kind", UNSET)
        kind: RouteKind | Unset
        if isinstance(_kind, Unset):
            kind = UNSET
        else:
            kind = RouteKind(_kind)

        _mode = d.pop("mode", UNSET)
        mode: Mode | Unset
        if isinstance(_mode, Unset):
            mode = UNSET
        else:
            mode = Mode(_mode)

        _targets = d.pop("targets", UNSET)
        targets: list[Target] | Unset = UNSET
        if _targets is not UNSET:
            targets = []
            for targets_item_data in _targets:
                targets_item = Target.from_dict(targets_item_data)

                targets.append(targets_item)

        baseline = d.pop("baseline", UNSET)

        _sticky = d.pop("sticky", UNSET)
        sticky: StickyEnum | Unset
        if isinstance(_sticky, Unset):
            sticky = UNSET
        else:
            sticky = StickyEnum(_sticky)

        holdout_percent = d.pop("holdout_percent", UNSET)

        share_percent = d.pop("share_percent", UNSET)

        hard_from = d.pop("hard_from", UNSET)

        answer_worth = d.pop("answer_worth", UNSET)

        explore_percent = d.pop("explore_percent", UNSET)

        confidence_percent = d.pop("confidence_percent", UNSET)

        latency_cap_ms = d.pop("latency_cap_ms", UNSET)

        agreement_samples = d.pop("agreement_samples", UNSET)

        compare_percent = d.pop("compare_percent", UNSET)

        compare_monthly_limit = d.pop("compare_monthly_limit", UNSET)

        pack_window_ms = d.pop("pack_window_ms", UNSET)

        pack_most = d.pop("pack_most", UNSET)

        deadline_seconds = d.pop("deadline_seconds", UNSET)

        stopped_tasks = cast(list[str], d.pop("stopped_tasks", UNSET))

        is_learning = d.pop("is_learning", UNSET)

        patched_route_changes = cls(
            kind=kind,
            mode=mode,
            targets=targets,
            baseline=baseline,
            sticky=sticky,
            holdout_percent=holdout_percent,
            share_percent=share_percent,
            hard_from=hard_from,
            answer_worth=answer_worth,
            explore_percent=explore_percent,
            confidence_percent=confidence_percent,
            latency_cap_ms=latency_cap_ms,
            agreement_samples=agreement_samples,
            compare_percent=compare_percent,
            compare_monthly_limit=compare_monthly_limit,
            pack_window_ms=pack_window_ms,
            pack_most=pack_most,
            deadline_seconds=deadline_seconds,
            stopped_tasks=stopped_tasks,
            is_learning=is_learning,
        )

        patched_route_changes.additional_properties = d
        return patched_route_changes

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
