from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.long_context_row import LongContextRow
    from ..models.new_price_fees import NewPriceFees
    from ..models.new_price_service_tiers import NewPriceServiceTiers


T = TypeVar("T", bound="NewPrice")


@_attrs_define
class NewPrice:
    """A price version; ``model`` by name or id, null for the fallback.

    Attributes:
        input_per_million (str): USD per million tokens of input
        output_per_million (str): USD per million tokens of output
        model (None | str): a model, by the organisation's name for it
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
        per_request (str | Unset): USD for each call, beside its tokens
        fees (NewPriceFees | Unset): USD by the piece: web_search_low, web_search, web_search_high, file_search,
            code_session, image, minute, million_characters, page, web_search_preview; and web_search_tokens, the tokens of
            input that each web search is billed as beside its fee
        long_context (list[LongContextRow] | Unset): prices of calls whose input is longer than above
        service_tiers (NewPriceServiceTiers | Unset): by the name that answers give the tier: flex, priority, batch
        effective_from (datetime.datetime | None | Unset): from when on it holds; prices are never edited, only followed
    """

    input_per_million: str
    output_per_million: str
    model: None | str
    cached_input_per_million: None | str | Unset = UNSET
    cache_write_per_million: None | str | Unset = UNSET
    cache_write_1h_per_million: None | str | Unset = UNSET
    audio_input_per_million: None | str | Unset = UNSET
    cached_audio_input_per_million: None | str | Unset = UNSET
    image_input_per_million: None | str | Unset = UNSET
    cached_image_input_per_million: None | str | Unset = UNSET
    audio_output_per_million: None | str | Unset = UNSET
    image_output_per_million: None | str | Unset = UNSET
    per_request: str | Unset = UNSET
    fees: NewPriceFees | Unset = UNSET
    long_context: list[LongContextRow] | Unset = UNSET
    service_tiers: NewPriceServiceTiers | Unset = UNSET
    effective_from: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        model: None | str
        model = self.model

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

        per_request = self.per_request

        fees: dict[str, Any] | Unset = UNSET
        if not isinstance(self.fees, Unset):
            fees = self.fees.to_dict()

        long_context: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.long_context, Unset):
            long_context = []
            for long_context_item_data in self.long_context:
                long_context_item = long_context_item_data.to_dict()
                long_context.append(long_context_item)

        service_tiers: dict[str, Any] | Unset = UNSET
        if not isinstance(self.service_tiers, Unset):
            service_tiers = self.service_tiers.to_dict()

        effective_from: None | str | Unset
        if isinstance(self.effective_from, Unset):
            effective_from = UNSET
        elif isinstance(self.effective_from, datetime.datetime):
            effective_from = self.effective_from.isoformat()
        else:
            effective_from = self.effective_from

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "input_per_million": input_per_million,
                "output_per_million": output_per_million,
                "model": model,
            }
        )
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
        if per_request is not UNSET:
            field_dict["per_request"] = per_request
        if fees is not UNSET:
            field_dict["fees"] = fees
        if long_context is not UNSET:
            field_dict["long_context"] = long_context
        if service_tiers is not UNSET:
            field_dict["service_tiers"] = service_tiers
        if effective_from is not UNSET:
            field_dict["effective_from"] = effective_from

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.long_context_row import LongContextRow  # noqa: PLC0415
        from ..models.new_price_fees import NewPriceFees  # noqa: PLC0415
        from ..models.new_price_service_tiers import NewPriceServiceTiers  # noqa: PLC0415

        d = dict(src_dict)
        input_per_million = d.pop("input_per_million")

        output_per_million = d.pop("output_per_million")

        def _parse_model(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        model = _parse_model(d.pop("model"))

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

        per_request = d.pop("per_request", UNSET)

        _fees = d.pop("fees", UNSET)
        fees: NewPriceFees | Unset
        if isinstance(_fees, Unset):
            fees = UNSET
        else:
            fees = NewPriceFees.from_dict(_fees)

        _long_context = d.pop("long_context", UNSET)
        long_context: list[LongContextRow] | Unset = UNSET
        if _long_context is not UNSET:
            long_context = []
            for long_context_item_data in _long_context:
                long_context_item = LongContextRow.from_dict(long_context_item_data)

                long_context.append(long_context_item)

        _service_tiers = d.pop("service_tiers", UNSET)
        service_tiers: NewPriceServiceTiers | Unset
        if isinstance(_service_tiers, Unset):
            service_tiers = UNSET
        else:
            service_tiers = NewPriceServiceTiers.from_dict(_service_tiers)

        def _parse_effective_from(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                effective_from_type_0 = datetime.datetime.fromisoformat(data)

                return effective_from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        effective_from = _parse_effective_from(d.pop("effective_from", UNSET))

        new_price = cls(
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            model=model,
            cached_input_per_million=cached_input_per_million,
            cache_write_per_million=cache_write_per_million,
            cache_write_1h_per_million=cache_write_1h_per_million,
            audio_input_per_million=audio_input_per_million,
            cached_audio_input_per_million=cached_audio_input_per_million,
            image_input_per_million=image_input_per_million,
            cached_image_input_per_million=cached_image_input_per_million,
            audio_output_per_million=audio_output_per_million,
            image_output_per_million=image_output_per_million,
            per_request=per_request,
            fees=fees,
            long_context=long_context,
            service_tiers=service_tiers,
            effective_from=effective_from,
        )

        new_price.additional_properties = d
        return new_price

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
