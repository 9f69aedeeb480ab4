from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.playground_answer_candidates_item import PlaygroundAnswerCandidatesItem
    from ..models.playground_answer_route_type_0 import PlaygroundAnswerRouteType0


T = TypeVar("T", bound="PlaygroundAnswer")


@_attrs_define
class PlaygroundAnswer:
    """Where it would go and why, and the most that a try at each model might cost.

    Attributes:
        reason (str): why, in words
        route (None | PlaygroundAnswerRouteType0): what the route thought, by name
        rungs (list[str]): rungs of ladders that changed the call
        is_cascade (bool): whether answers are judged and the next model asked where they fail
        candidates (list[PlaygroundAnswerCandidatesItem]): the models that may be asked, in this order, and the most
            that a try might cost
        compression (str): what compression would do; empty: nothing
    """

    reason: str
    route: None | PlaygroundAnswerRouteType0
    rungs: list[str]
    is_cascade: bool
    candidates: list[PlaygroundAnswerCandidatesItem]
    compression: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.playground_answer_route_type_0 import PlaygroundAnswerRouteType0  # noqa: PLC0415

        reason = self.reason

        route: dict[str, Any] | None
        if isinstance(self.route, PlaygroundAnswerRouteType0):
            route = self.route.to_dict()
        else:
            route = self.route

        rungs = self.rungs

        is_cascade = self.is_cascade

        candidates = []
        for candidates_item_data in self.candidates:
            candidates_item = candidates_item_data.to_dict()
            candidates.append(candidates_item)

        compression = self.compression

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "reason": reason,
                "route": route,
                "rungs": rungs,
                "is_cascade": is_cascade,
                "candidates": candidates,
                "compression": compression,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.playground_answer_candidates_item import (
            PlaygroundAnswerCandidatesItem,  # noqa: PLC0415
        )
        from ..models.playground_answer_route_type_0 import PlaygroundAnswerRouteType0  # noqa: PLC0415

        d = dict(src_dict)
        reason = d.pop("reason")

        def _parse_route(data: object) -> None | PlaygroundAnswerRouteType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                route_type_0 = PlaygroundAnswerRouteType0.from_dict(data)

                return route_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | PlaygroundAnswerRouteType0, data)

        route = _parse_route(d.pop("route"))

        rungs = cast(list[str], d.pop("rungs"))

        is_cascade = d.pop("is_cascade")

        candidates = []
        _candidates = d.pop("candidates")
        for candidates_item_data in _candidates:
            candidates_item = PlaygroundAnswerCandidatesItem.from_dict(candidates_item_data)

            candidates.append(candidates_item)

        compression = d.pop("compression")

        playground_answer = cls(
            reason=reason,
            route=route,
            rungs=rungs,
            is_cascade=is_cascade,
            candidates=candidates,
            compression=compression,
        )

        playground_answer.additional_properties = d
        return playground_answer

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
