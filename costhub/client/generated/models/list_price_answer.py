from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.list_price_answer_fees import ListPriceAnswerFees
    from ..models.list_price_answer_long_context_item import (
        ListPriceAnswerLongContextItem,
    )
    from ..models.list_price_answer_service_tiers import ListPriceAnswerServiceTiers


T = TypeVar("T", bound="ListPriceAnswer")


@_attrs_define
class ListPriceAnswer:
    """A provider's public price; ``source`` says where we have it from.

    Attributes:
        id (UUID): the row's id
        provider (str): whose public prices these are
        model (str): a model, by the organisation's name for it
        input_per_million (str): USD per million tokens of input
        cached_input_per_million (None | str): USD per million tokens of input that the provider had cached; null: as
            the class nearest to it
        cache_write_per_million (None | str): USD per million tokens of input that the provider writes to its cache for
            minutes; null: as the class nearest to it
        cache_write_1h_per_million (None | str): USD per million tokens of input that the provider writes to its cache
            for an hour; null: as the class nearest to it
        audio_input_per_million (None | str): USD per million tokens of sound in; null: as the class nearest to it
        cached_audio_input_per_million (None | str): USD per million tokens of sound in that the provider had cached;
            null: as the class nearest to it
        image_input_per_million (None | str): USD per million tokens of pictures in; null: as the class nearest to it
        cached_image_input_per_million (None | str): USD per million tokens of pictures in that the provider had cached;
            null: as the class nearest to it
        output_per_million (str): USD per million tokens of output
        audio_output_per_million (None | str): USD per million tokens of sound out; null: as the class nearest to it
        image_output_per_million (None | str): USD per million tokens of pictures out; null: as the class nearest to it
        per_request (str): USD for each call, beside its tokens
        fees (ListPriceAnswerFees): USD for each use of a provider's tool or unit, by its name
        long_context (list[ListPriceAnswerLongContextItem]): prices of calls whose input is longer than above
        service_tiers (ListPriceAnswerServiceTiers): prices of calls that a service tier answered, by its name
        created_at (datetime.datetime): when it was made
        effective_from (datetime.datetime | Unset): from when on it holds; prices are never edited, only followed
        source (str | Unset): where the price is from: the table and its release, or empty for one that was typed
        context_window (int | None | Unset): the most tokens of input and output together
    """

    id: UUID
    provider: str
    model: str
    input_per_million: str
    cached_input_per_million: None | str
    cache_write_per_million: None | str
    cache_write_1h_per_million: None | str
    audio_input_per_million: None | str
    cached_audio_input_per_million: None | str
    image_input_per_million: None | str
    cached_image_input_per_million: None | str
    output_per_million: str
    audio_output_per_million: None | str
    image_output_per_million: None | str
    per_request: str
    fees: ListPriceAnswerFees
    long_context: list[ListPriceAnswerLongContextItem]
    service_tiers: ListPriceAnswerServiceTiers
    created_at: datetime.datetime
    effective_from: datetime.datetime | Unset = UNSET
    source: str | Unset = UNSET
    context_window: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        provider = self.provider

        model = self.model

        input_per_million = self.input_per_million

        cached_input_per_million: None | str
        cached_input_per_million = self.cached_input_per_million

        cache_write_per_million: None | str
        cache_write_per_million = self.cache_write_per_million

        cache_write_1h_per_million: None | str
        cache_write_1h_per_million = self.cache_write_1h_per_million

        audio_input_per_million: None | str
        audio_input_per_million = self.audio_input_per_million

        cached_audio_input_per_million: None | str
        cached_audio_input_per_million = self.cached_audio_input_per_million

        image_input_per_million: None | str
        image_input_per_million = self.image_input_per_million

        cached_image_input_per_million: None | str
        cached_image_input_per_million = self.cached_image_input_per_million

        output_per_million = self.output_per_million

        audio_output_per_million: None | str
        audio_output_per_million = self.audio_output_per_million

        image_output_per_million: None | str
        image_output_per_million = self.image_output_per_million

        per_request = self.per_request

        fees = self.fees.to_dict()

        long_context = []
        for long_context_item_data in self.long_context:
            long_context_item = long_context_item_data.to_dict()
            long_context.append(long_context_item)

        service_tiers = self.service_tiers.to_dict()

        created_at = self.created_at.isoformat()

        effective_from: str | Unset = UNSET
        if not isinstance(self.effective_from, Unset):
            effective_from = self.effective_from.isoformat()

        source = self.source

        context_window: int | None | Unset
        if isinstance(self.context_window, Unset):
            context_window = UNSET
        else:
            context_window = self.context_window

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "provider": provider,
                "model": model,
                "input_per_million": input_per_million,
                "cached_input_per_million": cached_input_per_million,
                "cache_write_per_million": cache_write_per_million,
                "cache_write_1h_per_million": cache_write_1h_per_million,
                "audio_input_per_million": audio_input_per_million,
                "cached_audio_input_per_million": cached_audio_input_per_million,
                "image_input_per_million": image_input_per_million,
                "cached_image_input_per_million": cached_image_input_per_million,
                "output_per_million": output_per_million,
                "audio_output_per_million": audio_output_per_million,
                "image_output_per_million": image_output_per_million,
                "per_request": per_request,
                "fees": fees,
                "long_context": long_context,
                "service_tiers": service_tiers,
                "created_at": created_at,
            }
        )
        if effective_from is not UNSET:
            field_dict["effective_from"] = effective_from
        if source is not UNSET:
            field_dict["source"] = source
        if context_window is not UNSET:
            field_dict["context_window"] = context_window

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.list_price_answer_fees import ListPriceAnswerFees  # noqa: PLC0415
        from ..models.list_price_answer_long_context_item import (
            ListPriceAnswerLongContextItem,  # noqa: PLC0415
        )
        from ..models.list_price_answer_service_tiers import ListPriceAnswerServiceTiers  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        provider = d.pop("provider")

        model = d.pop("model")

        input_per_million = d.pop("input_per_million")

        def _parse_cached_input_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cached_input_per_million = _parse_cached_input_per_million(d.pop("cached_input_per_million"))

        def _parse_cache_write_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cache_write_per_million = _parse_cache_write_per_million(d.pop("cache_write_per_million"))

        def _parse_cache_write_1h_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cache_write_1h_per_million = _parse_cache_write_1h_per_million(d.pop("cache_write_1h_per_million"))

        def _parse_audio_input_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        audio_input_per_million = _parse_audio_input_per_million(d.pop("audio_input_per_million"))

        def _parse_cached_audio_input_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cached_audio_input_per_million = _parse_cached_audio_input_per_million(d.pop("cached_audio_input_per_million"))

        def _parse_image_input_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        image_input_per_million = _parse_image_input_per_million(d.pop("image_input_per_million"))

        def _parse_cached_image_input_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        cached_image_input_per_million = _parse_cached_image_input_per_million(d.pop("cached_image_input_per_million"))

        output_per_million = d.pop("output_per_million")

        def _parse_audio_output_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        audio_output_per_million = _parse_audio_output_per_million(d.pop("audio_output_per_million"))

        def _parse_image_output_per_million(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        image_output_per_million = _parse_image_output_per_million(d.pop("image_output_per_million"))

        per_request = d.pop("per_request")

        fees = ListPriceAnswerFees.from_dict(d.pop("fees"))

        long_context = []
        _long_context = d.pop("long_context")
        for long_context_item_data in _long_context:
            long_context_item = ListPriceAnswerLongContextItem.from_dict(long_context_item_data)

            long_context.append(long_context_item)

        service_tiers = ListPriceAnswerServiceTiers.from_dict(d.pop("service_tiers"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        _effective_from = d.pop("effective_from", UNSET)
        effective_from: datetime.datetime | Unset
        if isinstance(_effective_from, Unset):
            effective_from = UNSET
        else:
            effective_from = datetime.datetime.fromisoformat(_effective_from)

        source = d.pop("source", UNSET)

        def _parse_context_window(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        context_window = _parse_context_window(d.pop("context_window", UNSET))

        list_price_answer = cls(
            id=id,
            provider=provider,
            model=model,
            input_per_million=input_per_million,
            cached_input_per_million=cached_input_per_million,
            cache_write_per_million=cache_write_per_million,
            cache_write_1h_per_million=cache_write_1h_per_million,
            audio_input_per_million=audio_input_per_million,
            cached_audio_input_per_million=cached_audio_input_per_million,
            image_input_per_million=image_input_per_million,
            cached_image_input_per_million=cached_image_input_per_million,
            output_per_million=output_per_million,
            audio_output_per_million=audio_output_per_million,
            image_output_per_million=image_output_per_million,
            per_request=per_request,
            fees=fees,
            long_context=long_context,
            service_tiers=service_tiers,
            created_at=created_at,
            effective_from=effective_from,
            source=source,
            context_window=context_window,
        )

        list_price_answer.additional_properties = d
        return list_price_answer

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
