from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.applies_to_enum import AppliesToEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="LongContextRow")


@_attrs_define
class LongContextRow:
    """What calls cost that have more than ``above`` input tokens: the whole call, or of the input the tokens above.

    Attributes:
        above (int): tokens of input from which on these prices hold
        input_per_million (None | str | Unset): USD per million tokens of input
        output_per_million (None | str | Unset): USD per million tokens of output
        cached_input_per_million (None | str | Unset): USD per million tokens of input that the provider had cached;
            null: as the class nearest to it
        cache_write_per_million (None | str | Unset): USD per million tokens of input that the provider writes to its
            cache for minutes; null: as the class nearest to it
        cache_write_1h_per_million (None | str | Unset): USD per million tokens of input that the provider writes to its
            cache for an hour; null: as the class nearest to it
        audio_input_per_million (None | str | Unset): USD per million tokens of sound in; null: as the class nearest to
            it
        cached_audio_input_per_million (None | str | Unset): USD per million tokens of sound in that the provider had
            cached; null: as the class nearest to it
        image_input_per_million (None | str | Unset): USD per million tokens of pictures in; null: as the class nearest
            to it
        cached_image_input_per_million (None | str | Unset): USD per million tokens of pictures in that the provider had
            cached; null: as the class nearest to it
        audio_output_per_million (None | str | Unset): USD per million tokens of sound out; null: as the class nearest
            to it
        image_output_per_million (None | str | Unset): USD per million tokens of pictures out; null: as the class
            nearest to it
        applies_to (AppliesToEnum | Unset):
    """

    above: int
    input_per_million: None | str | Unset = UNSET
    output_per_million: None | str | Unset = UNSET
    cached_input_per_million: None | str | Unset = UNSET
    cache_write_per_million: None | str | Unset = UNSET
    cache_write_1h_per_million: None | str | Unset = UNSET
    audio_input_per_million: None | str | Unset = UNSET
    cached_audio_input_per_million: None | str | Unset = UNSET
    image_input_per_million: None | str | Unset = UNSET
    cached_image_input_per_million: None | str | Unset = UNSET
    audio_output_per_million: None | str | Unset = UNSET
    image_output_per_million: None | str | Unset = UNSET
    applies_to: AppliesToEnum | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        above = self.above

        input_per_million: None | str | Unset
        if isinstance(self.input_per_million, Unset):
            input_per_million = UNSET
        else:
            input_per_million = self.input_per_million

        output_per_million: None | str | Unset
        if isinstance(self.output_per_million, Unset):
            output_per_million = UNSET
        else:
            output_per_million = self.output_per_million

        cached_input_per_million: None | str | Unset
        if isinstance(self.cached_input_per_million, Unset):
            cached_input_per_million = UNSET
        else:
            cached_input_per_million = self.cached_input_per_million

        cache_write_per_million: None | str | Unset
        if isinstance(self.cache_write_per_million, Unset):
            cache_write_per_million = UNSET
        else:
            cache_write_per_million = self.cache_write_per_million

        cache_write_1h_per_million: None | str | Unset
        if isinstance(self.cache_write_1h_per_million, Unset):
            cache_write_1h_per_million = UNSET
        else:
            cache_write_1h_per_million = self.cache_write_1h_per_million

        audio_input_per_million: None | str | Unset
        if isinstance(self.audio_input_per_million, Unset):
            audio_input_per_million = UNSET
        else:
            audio_input_per_million = self.audio_input_per_million

        cached_audio_input_per_million: None | str | Unset
        if isinstance(self.cached_audio_input_per_million, Unset):
            cached_audio_input_per_million = UNSET
        else:
            cached_audio_input_per_million = self.cached_audio_input_per_million

        image_input_per_million: None | str | Unset
        if isinstance(self.image_input_per_million, Unset):
            image_input_per_million = UNSET
        else:
            image_input_per_million = self.image_input_per_million

        cached_image_input_per_million: None | str | Unset
        if isinstance(self.cached_image_input_per_million, Unset):
            cached_image_input_per_million = UNSET
        else:
            cached_image_input_per_million = self.cached_image_input_per_million

        audio_output_per_million: None | str | Unset
        if isinstance(self.audio_output_per_million, Unset):
            audio_output_per_million = UNSET
        else:
            audio_output_per_million = self.audio_output_per_million

        image_output_per_million: None | str | Unset
        if isinstance(self.image_output_per_million, Unset):
            image_output_per_million = UNSET
        else:
            image_output_per_million = self.image_output_per_million

        applies_to: str | Unset = UNSET
        if not isinstance(self.applies_to, Unset):
            applies_to = self.applies_to.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "above": above,
            }
        )
        if input_per_million is not UNSET:
            field_dict["input_per_million"] = input_per_million
        if output_per_million is not UNSET:
            field_dict["output_per_million"] = output_per_million
        if cached_input_per_million is not UNSET:
            field_dict["cached_input_per_million"] = cached_input_per_million
        if cache_write_per_million is not UNSET:
            field_dict["cache_write_per_million"] = cache_write_per_million
        if cache_write_1h_per_million is not UNSET:
            field_dict["cache_write_1h_per_million"] = cache_write_1h_per_million
        if audio_input_per_million is not UNSET:
            field_dict["audio_input_per_million"] = audio_input_per_million
        if cached_audio_input_per_million is not UNSET:
            field_dict["cached_audio_input_per_million"] = cached_audio_input_per_million
        if image_input_per_million is not UNSET:
            field_dict["image_input_per_million"] = image_input_per_million
        if cached_image_input_per_million is not UNSET:
            field_dict["cached_image_input_per_million"] = cached_image_input_per_million
        if audio_output_per_million is not UNSET:
            field_dict["audio_output_per_million"] = audio_output_per_million
        if image_output_per_million is not UNSET:
            field_dict["image_output_per_million"] = image_output_per_million
        if applies_to is not UNSET:
            field_dict["applies_to"] = applies_to

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        above = d.pop("above")

        def _parse_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        input_per_million = _parse_input_per_million(d.pop("input_per_million", UNSET))

        def _parse_output_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        output_per_million = _parse_output_per_million(d.pop("output_per_million", UNSET))

        def _parse_cached_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cached_input_per_million = _parse_cached_input_per_million(d.pop("cached_input_per_million", UNSET))

        def _parse_cache_write_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cache_write_per_million = _parse_cache_write_per_million(d.pop("cache_write_per_million", UNSET))

        def _parse_cache_write_1h_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cache_write_1h_per_million = _parse_cache_write_1h_per_million(d.pop("cache_write_1h_per_million", UNSET))

        def _parse_audio_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        audio_input_per_million = _parse_audio_input_per_million(d.pop("audio_input_per_million", UNSET))

        def _parse_cached_audio_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cached_audio_input_per_million = _parse_cached_audio_input_per_million(
            d.pop("cached_audio_input_per_million", UNSET)
        )

        def _parse_image_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        image_input_per_million = _parse_image_input_per_million(d.pop("image_input_per_million", UNSET))

        def _parse_cached_image_input_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        cached_image_input_per_million = _parse_cached_image_input_per_million(
            d.pop("cached_image_input_per_million", UNSET)
        )

        def _parse_audio_output_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        audio_output_per_million = _parse_audio_output_per_million(d.pop("audio_output_per_million", UNSET))

        def _parse_image_output_per_million(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        image_output_per_million = _parse_image_output_per_million(d.pop("image_output_per_million", UNSET))

        _applies_to = d.pop("applies_to", UNSET)
        applies_to: AppliesToEnum | Unset
        if isinstance(_applies_to, Unset):
            applies_to = UNSET
        else:
            applies_to = AppliesToEnum(_applies_to)

        long_context_row = cls(
            above=above,
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            cached_input_per_million=cached_input_per_million,
            cache_write_per_million=cache_write_per_million,
            cache_write_1h_per_million=cache_write_1h_per_million,
            audio_input_per_million=audio_input_per_million,
            cached_audio_input_per_million=cached_audio_input_per_million,
            image_input_per_million=image_input_per_million,
            cached_image_input_per_million=cached_image_input_per_million,
            audio_output_per_million=audio_output_per_million,
            image_output_per_million=image_output_per_million,
            applies_to=applies_to,
        )

        long_context_row.additional_properties = d
        return long_context_row

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
