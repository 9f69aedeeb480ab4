from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.arm_answer import ArmAnswer
    from ..models.effect_answer import EffectAnswer
    from ..models.quality_answer import QualityAnswer


T = TypeVar("T", bound="CompressionSavingsAnswer")


@_attrs_define
class CompressionSavingsAnswer:
    """What compression did, in the same words; ``watched`` calls of a policy in shadow would have saved
    ``shadow_tokens``. ``scoring`` is what models were paid for saying which words could be guessed, and is not taken
    off ``saved``.

        Attributes:
            saved (str): what it saved, decimal USD
            scoring (str): what such models were paid; it is not taken off what was saved
            compressed (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            held_out (ArmAnswer): Calls that were treated alike; ``mean`` is what one cost. Of ``told`` an application has
                said whether the answer
                was right, and of ``right`` that it was.
            watched (int): calls that a policy in shadow would have shortened
            shadow_tokens (int): tokens that this would have saved
            effect (EffectAnswer | None): what a call costs less, proven by those held out; null while there are too few
            proven (EffectAnswer | None): the same over all calls; null while there are too few
            quality (None | QualityAnswer): by how much more often answers are right, of which applications said so; null
                while there are too few
    """

    saved: str
    scoring: str
    compressed: ArmAnswer
    held_out: ArmAnswer
    watched: int
    shadow_tokens: int
    effect: EffectAnswer | None
    proven: EffectAnswer | None
    quality: None | QualityAnswer
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.effect_answer import EffectAnswer  # noqa: PLC0415
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415

        saved = self.saved

        scoring = self.scoring

        compressed = self.compressed.to_dict()

        held_out = self.held_out.to_dict()

        watched = self.watched

        shadow_tokens = self.shadow_tokens

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
                "saved": saved,
                "scoring": scoring,
                "compressed": compressed,
                "held_out": held_out,
                "watched": watched,
                "shadow_tokens": shadow_tokens,
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
        from ..models.quality_answer import QualityAnswer  # noqa: PLC0415

        d = dict(src_dict)
        saved = d.pop("saved")

        scoring = d.pop("scoring")

        compressed = ArmAnswer.from_dict(d.pop("compressed"))

        held_out = ArmAnswer.from_dict(d.pop("held_out"))

        watched = d.pop("watched")

        shadow_tokens = d.pop("shadow_tokens")

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

        compression_savings_answer = cls(
            saved=saved,
            scoring=scoring,
            compressed=compressed,
            held_out=held_out,
            watched=watched,
            shadow_tokens=shadow_tokens,
            effect=effect,
            proven=proven,
            quality=quality,
        )

        compression_savings_answer.additional_properties = d
        return compression_savings_answer

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
