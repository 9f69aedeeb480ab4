from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.arm_answer import ArmAnswer
    from ..models.comparisons_answer import ComparisonsAnswer
    from ..models.effect_answer import EffectAnswer
    from ..models.quality_answer import QualityAnswer
    from ..models.share_answer import ShareAnswer


T = TypeVar("T", bound="RouteSavingsAnswer")


@_attrs_define
class RouteSavingsAnswer:
    """What a route did: ``saved`` is what the ledger attributes to it, ``effect`` and ``proven`` what calls held out
    prove, a call and over all that were routed; null while an arm has fewer than thirty calls. ``quality``
    compares what applications said of the answers; null while of an arm fewer than thirty were told of.

        Attributes:
            calls (int): how many calls
            saved (str): what it saved, decimal USD
            shares (list[ShareAnswer]): which model answered how many
            routed (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            held_out (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            effect (EffectAnswer | None): what a call costs less, proven by those held out; null while there are too few
            proven (EffectAnswer | None): the same over all calls; null while there are too few
            quality (None | QualityAnswer): by how much more often answers are right, of which applications said so; null
                while there are too few
            comparisons (ComparisonsAnswer): What was asked beside the calls, to learn from: answers that were the ``same``,
                and ``other`` ones.
    """

    calls: int
    saved: str
    shares: list[ShareAnswer]
    routed: ArmAnswer
    held_out: ArmAnswer
    effect: EffectAnswer | None
    proven: EffectAnswer | None
    quality: None | QualityAnswer
    comparisons: ComparisonsAnswer
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.effect_answer import EffectAnswer  # noqa: PLC0415
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415

        calls = self.calls

        saved = self.saved

        shares = []
        for shares_item_data in self.shares:
            shares_item = shares_item_data.to_dict()
            shares.append(shares_item)

        routed = self.routed.to_dict()

        held_out = self.held_out.to_dict()

        effect: dict[str, Any] | None
        if isinstance(self.effect, EffectAnswer):
            effect = self.effect.to_dict()
        else:
            effect = self.effect

        proven: dict[str, Any] | None
        if isinstance(self.proven, EffectAnswer):
            proven = self.proven.to_dict()
        else:
            proven = self.proven

        quality: dict[str, Any] | None
        if isinstance(self.quality, QualityAnswer):
            quality = self.quality.to_dict()
        else:
            quality = self.quality

        comparisons = self.comparisons.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "calls": calls,
                "saved": saved,
                "shares": shares,
                "routed": routed,
                "held_out": held_out,
                "effect": effect,
                "proven": proven,
                "quality": quality,
                "comparisons": comparisons,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.arm_answer import ArmAnswer  # noqa: PLC0415
        from ..models.comparisons_answer import ComparisonsAnswer  # noqa: PLC0415
        from ..models.effect_answer import EffectAnswer  # noqa: PLC0415
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415
        from ..models.share_answer import ShareAnswer  # noqa: PLC0415

        d = dict(src_dict)
        calls = d.pop("calls")

        saved = d.pop("saved")

        shares = []
        _shares = d.pop("shares")
        for shares_item_data in _shares:
            shares_item = ShareAnswer.from_dict(shares_item_data)

            shares.append(shares_item)

        routed = ArmAnswer.from_dict(d.pop("routed"))

        held_out = ArmAnswer.from_dict(d.pop("held_out"))

        def _parse_effect(data: object) -> EffectAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                effect_type_0 = EffectAnswer.from_dict(data)

                return effect_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EffectAnswer | None, data)

        effect = _parse_effect(d.pop("effect"))

        def _parse_proven(data: object) -> EffectAnswer | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                proven_type_0 = EffectAnswer.from_dict(data)

                return proven_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EffectAnswer | None, data)

        proven = _parse_proven(d.pop("proven"))

        def _parse_quality(data: object) -> None | QualityAnswer:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                quality_type_0 = QualityAnswer.from_dict(data)

                return quality_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | QualityAnswer, data)

        quality = _parse_quality(d.pop("quality"))

        comparisons = ComparisonsAnswer.from_dict(d.pop("comparisons"))

        route_savings_answer = cls(
            calls=calls,
            saved=saved,
            shares=shares,
            routed=routed,
            held_out=held_out,
            effect=effect,
            proven=proven,
            quality=quality,
            comparisons=comparisons,
        )

        route_savings_answer.additional_properties = d
        return route_savings_answer

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
