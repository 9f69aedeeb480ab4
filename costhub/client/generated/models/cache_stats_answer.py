from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.arm_answer import ArmAnswer
    from ..models.effect_answer import EffectAnswer
    from ..models.level_answer import LevelAnswer
    from ..models.provider_cache_answer import ProviderCacheAnswer
    from ..models.quality_answer import QualityAnswer


T = TypeVar("T", bound="CacheStatsAnswer")


@_attrs_define
class CacheStatsAnswer:
    """What the cache did in a stretch of time, from the ledger: ``saved`` is what the ledger attributes to it,
    ``effect`` and ``proven`` what calls held out prove, a call and over all that were ``treated``; null while no model
    has thirty calls in each arm. ``quality`` compares what applications said of the answers.

        Attributes:
            looked_up (int): calls that were looked up
            hits (int): calls that the cache answered
            hit_rate_per_mille (int): hits of those looked up, per mille
            saved (str): what it saved, decimal USD
            levels (list[LevelAnswer]): the same by level
            provider (ProviderCacheAnswer): The providers' own prompt caches: tokens read and written, and what that saved
                net of writing.
            treated (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            held_out (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            effect (EffectAnswer | None): what a call costs less, proven by those held out; null while there are too few
            proven (EffectAnswer | None): the same over all calls; null while there are too few
            quality (None | QualityAnswer): by how much more often answers are right, of which applications said so; null
                while there are too few
    """

    looked_up: int
    hits: int
    hit_rate_per_mille: int
    saved: str
    levels: list[LevelAnswer]
    provider: ProviderCacheAnswer
    treated: ArmAnswer
    held_out: ArmAnswer
    effect: EffectAnswer | None
    proven: EffectAnswer | None
    quality: None | QualityAnswer
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.effect_answer import EffectAnswer  # noqa: PLC0415
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415

        looked_up = self.looked_up

        hits = self.hits

        hit_rate_per_mille = self.hit_rate_per_mille

        saved = self.saved

        levels = []
        for levels_item_data in self.levels:
            levels_item = levels_item_data.to_dict()
            levels.append(levels_item)

        provider = self.provider.to_dict()

        treated = self.treated.to_dict()

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

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "looked_up": looked_up,
                "hits": hits,
                "hit_rate_per_mille": hit_rate_per_mille,
                "saved": saved,
                "levels": levels,
                "provider": provider,
                "treated": treated,
                "held_out": held_out,
                "effect": effect,
                "proven": proven,
                "quality": quality,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.arm_answer import ArmAnswer  # noqa: PLC0415
        from ..models.effect_answer import EffectAnswer  # noqa: PLC0415
        from ..models.level_answer import LevelAnswer  # noqa: PLC0415
        from ..models.provider_cache_answer import ProviderCacheAnswer  # noqa: PLC0415
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415

        d = dict(src_dict)
        looked_up = d.pop("looked_up")

        hits = d.pop("hits")

        hit_rate_per_mille = d.pop("hit_rate_per_mille")

        saved = d.pop("saved")

        levels = []
        _levels = d.pop("levels")
        for levels_item_data in _levels:
            levels_item = LevelAnswer.from_dict(levels_item_data)

            levels.append(levels_item)

        provider = ProviderCacheAnswer.from_dict(d.pop("provider"))

        treated = ArmAnswer.from_dict(d.pop("treated"))

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

        cache_stats_answer = cls(
            looked_up=looked_up,
            hits=hits,
            hit_rate_per_mille=hit_rate_per_mille,
            saved=saved,
            levels=levels,
            provider=provider,
            treated=treated,
            held_out=held_out,
            effect=effect,
            proven=proven,
            quality=quality,
        )

        cache_stats_answer.additional_properties = d
        return cache_stats_answer

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
