from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.price_answer_fees import PriceAnswerFees
    from ..models.price_answer_long_context_item import PriceAnswerLongContextItem
    from ..models.price_answer_service_tiers import PriceAnswerServiceTiers


T = TypeVar("T", bound="PriceAnswer")


@_attrs_define
class PriceAnswer:
    """A price version. A null ``model`` is the fallback of all models that have no price.

    Attributes:
        id (UUID): the row's id
        model_id (None | UUID): the model that it is the price of; null: all that have none
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
        fees (PriceAnswerFees): USD for each use of a provider's tool or unit, by its name
        long_context (list[PriceAnswerLongContextItem]): prices of calls whose input is longer than above
        service_tiers (PriceAnswerServiceTiers): prices of calls that a service tier answered, by its name
        created_at (datetime.datetime): when it was made
        model (None | str | Unset): a model, by the organisation's name for it
        effective_from (datetime.datetime | Unset): from when on it holds; prices are never edited, only followed
        source (str | Unset): where the price is from: the table and its release, or empty for one that was typed
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    model_id: None | UUID
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
    fees: PriceAnswerFees
    long_context: list[PriceAnswerLongContextItem]
    service_tiers: PriceAnswerServiceTiers
    created_at: datetime.datetime
    model: None | str | Unset = UNSET
    effective_from: datetime.datetime | Unset = UNSET
    source: str | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        model_id: None | str
        if isinstance(self.model_id, UUID):
            model_id = str(self.model_id)
        else:
            model_id = self.model_id

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

        model: None | str | Unset
        if isinstance(self.model, Unset):
            model = UNSET
        else:
            model = self.model

        effective_from: str | Unset = UNSET
        if not isinstance(self.effective_from, Unset):
            effective_from = self.effective_from.isoformat()

        source = self.source

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "model_id": model_id,
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
        if model is not UNSET:
            field_dict["model"] = model
        if effective_from is not UNSET:
            field_dict["effective_from"] = effective_from
        if source is not UNSET:
            field_dict["source"] = source
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.price_answer_fees import PriceAnswerFees  # noqa: PLC0415
        from ..models.price_answer_long_context_item import PriceAnswerLongContextItem  # noqa: PLC0415
        from ..models.price_answer_service_tiers import PriceAnswerServiceTiers  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        def _parse_model_id(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                model_id_type_0 = UUID(data)

                return model_id_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        model_id = _parse_model_id(d.pop("model_id"))

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

        fees = PriceAnswerFees.from_dict(d.pop("fees"))

        long_context = []
        _long_context = d.pop("long_context")
        for long_context_item_data in _long_context:
            long_context_item = PriceAnswerLongContextItem.from_dict(long_context_item_data)

            long_context.append(long_context_item)

        service_tiers = PriceAnswerServiceTiers.from_dict(d.pop("service_tiers"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_model(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        model = _parse_model(d.pop("model", UNSET))

        _effective_from = d.pop("effective_from", UNSET)
        effective_from: datetime.datetime | Unset
        if isinstance(_effective_from, Unset):
            effective_from = UNSET
        else:
            effective_from = datetime.datetime.fromisoformat(_effective_from)

        source = d.pop("source", UNSET)

        created_by = d.pop("created_by", UNSET)

        price_answer = cls(
            id=id,
            model_id=model_id,
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
            model=model,
            effective_from=effective_from,
            source=source,
            created_by=created_by,
        )

        price_answer.additional_properties = d
        return price_answer

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
