from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.call_answer_refused_by import CallAnswerRefusedBy
    from ..models.call_answer_savings import CallAnswerSavings
    from ..models.call_answer_tags import CallAnswerTags


T = TypeVar("T", bound="CallAnswer")


@_attrs_define
class CallAnswer:
    """One call. Tokens and money are net of its corrections; money is decimal USD.

    Attributes:
        id (UUID): the row's id
        started_at (datetime.datetime): when the call came
        project (UUID): a project, by id; where it is written also by name
        key (UUID): an API key, by id
        end_user (str): on whose behalf calls are made, as the application names them
        tags (CallAnswerTags): the call's tags, by name
        endpoint (str): the path that was called, below /v1
        request_model (str): the model that was asked for
        response_model (str): the model that answered, as the upstream named it
        upstream (None | UUID): an upstream, by id; where it is written also by name
        provider (str): the provider, as OpenTelemetry names it
        status (int): the HTTP status that the caller got
        error_code (str): why it failed or was refused; empty: it did not
        refused_by (CallAnswerRefusedBy): the budget or rate limit that refused the call, its amounts and when it
            resets; empty where none did
        finish_reason (str): why the answer ended, as the upstream said it
        is_stream (bool): whether it was answered as a stream
        input_tokens (int): tokens in, of every class
        cache_read_input_tokens (int): of these, what the provider had cached
        cache_write_input_tokens (int): of these, what the provider wrote to its cache
        output_tokens (int): tokens out, of every class
        reasoning_tokens (int): of these, what the model thought
        audio_input_tokens (int): tokens of sound in
        audio_output_tokens (int): tokens of sound out
        list_cost (str): what it would have cost at the model that was asked for, of a route at its baseline model;
            decimal USD
        effective_cost (str): what it cost, decimal USD
        savings (CallAnswerSavings): list cost less effective cost, decimal USD, by what saved it
        price (None | UUID): the version of the price that it was charged at, by id; null: none
        is_estimated (bool): whether it was charged at what was held or counted, until the upstream's bill comes
        is_overrun (bool): whether it cost more than was held for it
        cache_status (str): whether the cache answered, and which level of it
        route_reason (str): why this model answered
        duration_us (int): from the call's coming to the end of its answer, in microseconds
        first_byte_us (int | None): until the first byte of the answer, in microseconds; null: there was none
        overhead_us (int | None): time that was not spent waiting for the upstream or the caller, in microseconds
        recorded_at (datetime.datetime): when its row was written
        corrections (int): how often its cost was corrected since
    """

    id: UUID
    started_at: datetime.datetime
    project: UUID
    key: UUID
    end_user: str
    tags: CallAnswerTags
    endpoint: str
    request_model: str
    response_model: str
    upstream: None | UUID
    provider: str
    status: int
    error_code: str
    refused_by: CallAnswerRefusedBy
    finish_reason: str
    is_stream: bool
    input_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    list_cost: str
    effective_cost: str
    savings: CallAnswerSavings
    price: None | UUID
    is_estimated: bool
    is_overrun: bool
    cache_status: str
    route_reason: str
    duration_us: int
    first_byte_us: int | None
    overhead_us: int | None
    recorded_at: datetime.datetime
    corrections: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        started_at = self.started_at.isoformat()

        project = str(self.project)

        key = str(self.key)

        end_user = self.end_user

        tags = self.tags.to_dict()

        endpoint = self.endpoint

        request_model = self.request_model

        response_model = self.response_model

        upstream: None | str
        if isinstance(self.upstream, UUID):
            upstream = str(self.upstream)
        else:
            upstream = self.upstream

        provider = self.provider

        status = self.status

        error_code = self.error_code

        refused_by = self.refused_by.to_dict()

        finish_reason = self.finish_reason

        is_stream = self.is_stream

        input_tokens = self.input_tokens

        cache_read_input_tokens = self.cache_read_input_tokens

        cache_write_input_tokens = self.cache_write_input_tokens

        output_tokens = self.output_tokens

        reasoning_tokens = self.reasoning_tokens

        audio_input_tokens = self.audio_input_tokens

        audio_output_tokens = self.audio_output_tokens

        list_cost = self.list_cost

        effective_cost = self.effective_cost

        savings = self.savings.to_dict()

        price: None | str
        if isinstance(self.price, UUID):
            price = str(self.price)
        else:
            price = self.price

        is_estimated = self.is_estimated

        is_overrun = self.is_overrun

        cache_status = self.cache_status

        route_reason = self.route_reason

        duration_us = self.duration_us

        first_byte_us: int | None
        first_byte_us = self.first_byte_us

        overhead_us: int | None
        overhead_us = self.overhead_us

        recorded_at = self.recorded_at.isoformat()

        corrections = self.corrections

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "started_at": started_at,
                "project": project,
                "key": key,
                "end_user": end_user,
                "tags": tags,
                "endpoint": endpoint,
                "request_model": request_model,
                "response_model": response_model,
                "upstream": upstream,
                "provider": provider,
                "status": status,
                "error_code": error_code,
                "refused_by": refused_by,
                "finish_reason": finish_reason,
                "is_stream": is_stream,
                "input_tokens": input_tokens,
                "cache_read_input_tokens": cache_read_input_tokens,
                "cache_write_input_tokens": cache_write_input_tokens,
                "output_tokens": output_tokens,
                "reasoning_tokens": reasoning_tokens,
                "audio_input_tokens": audio_input_tokens,
                "audio_output_tokens": audio_output_tokens,
                "list_cost": list_cost,
                "effective_cost": effective_cost,
                "savings": savings,
                "price": price,
                "is_estimated": is_estimated,
                "is_overrun": is_overrun,
                "cache_status": cache_status,
                "route_reason": route_reason,
                "duration_us": duration_us,
                "first_byte_us": first_byte_us,
                "overhead_us": overhead_us,
                "recorded_at": recorded_at,
                "corrections": corrections,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.call_answer_refused_by import CallAnswerRefusedBy  # noqa: PLC0415
        from ..models.call_answer_savings import CallAnswerSavings  # noqa: PLC0415
        from ..models.call_answer_tags import CallAnswerTags  # noqa: PLC0415

        d = dict(src_dict)
        id = UUID(d.pop("id"))

        started_at = datetime.datetime.fromisoformat(d.pop("started_at"))

        project = UUID(d.pop("project"))

        key = UUID(d.pop("key"))

        end_user = d.pop("end_user")

        tags = CallAnswerTags.from_dict(d.pop("tags"))

        endpoint = d.pop("endpoint")

        request_model = d.pop("request_model")

        response_model = d.pop("response_model")

        def _parse_upstream(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                upstream_type_0 = UUID(data)

                return upstream_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        upstream = _parse_upstream(d.pop("upstream"))

        provider = d.pop("provider")

        status = d.pop("status")

        error_code = d.pop("error_code")

        refused_by = CallAnswerRefusedBy.from_dict(d.pop("refused_by"))

        finish_reason = d.pop("finish_reason")

        is_stream = d.pop("is_stream")

        input_tokens = d.pop("input_tokens")

        cache_read_input_tokens = d.pop("cache_read_input_tokens")

        cache_write_input_tokens = d.pop("cache_write_input_tokens")

        output_tokens = d.pop("output_tokens")

        reasoning_tokens = d.pop("reasoning_tokens")

        audio_input_tokens = d.pop("audio_input_tokens")

        audio_output_tokens = d.pop("audio_output_tokens")

        list_cost = d.pop("list_cost")

        effective_cost = d.pop("effective_cost")

        savings = CallAnswerSavings.from_dict(d.pop("savings"))

        def _parse_price(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                price_type_0 = UUID(data)

                return price_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        price = _parse_price(d.pop("price"))

        is_estimated = d.pop("is_estimated")

        is_overrun = d.pop("is_overrun")

        cache_status = d.pop("cache_status")

        route_reason = d.pop("route_reason")

        duration_us = d.pop("duration_us")

        def _parse_first_byte_us(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        first_byte_us = _parse_first_byte_us(d.pop("first_byte_us"))

        def _parse_overhead_us(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        overhead_us = _parse_overhead_us(d.pop("overhead_us"))

        recorded_at = datetime.datetime.fromisoformat(d.pop("recorded_at"))

        corrections = d.pop("corrections")

        call_answer = cls(
            id=id,
            started_at=started_at,
            project=project,
            key=key,
            end_user=end_user,
            tags=tags,
            endpoint=endpoint,
            request_model=request_model,
            response_model=response_model,
            upstream=upstream,
            provider=provider,
            status=status,
            error_code=error_code,
            refused_by=refused_by,
            finish_reason=finish_reason,
            is_stream=is_stream,
            input_tokens=input_tokens,
            cache_read_input_tokens=cache_read_input_tokens,
            cache_write_input_tokens=cache_write_input_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=reasoning_tokens,
            audio_input_tokens=audio_input_tokens,
            audio_output_tokens=audio_output_tokens,
            list_cost=list_cost,
            effective_cost=effective_cost,
            savings=savings,
            price=price,
            is_estimated=is_estimated,
            is_overrun=is_overrun,
            cache_status=cache_status,
            route_reason=route_reason,
            duration_us=duration_us,
            first_byte_us=first_byte_us,
            overhead_us=overhead_us,
            recorded_at=recorded_at,
            corrections=corrections,
        )

        call_answer.additional_properties = d
        return call_answer

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
