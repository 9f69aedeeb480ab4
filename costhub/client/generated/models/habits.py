from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.output_limit_enum import OutputLimitEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="Habits")


@_attrs_define
class Habits:
    """How requests to an upstream are written, where servers differ. null is what is usual for its kind, host and
    model.

        Attributes:
            output_limit (None | OutputLimitEnum | Unset): the field in which an output limit is sent
            stream_options (bool | None | Unset): whether a stream may be asked for its usage
            stream_false (bool | None | Unset): whether stream: false is sent where a caller left it out
            logprobs (bool | None | Unset): whether it tells the probabilities of tokens, for cascades
            tool_limits (bool | None | Unset): whether it keeps to a request's own limits of paid tools
            service_tier (None | str | Unset): the service tier of calls that name none
            responses (bool | None | Unset): whether it answers OpenAI's Responses itself
            drop_unknown (bool | None | Unset): whether what its format cannot say is left out, in place of a refusal
    """

    output_limit: None | OutputLimitEnum | Unset = UNSET
    stream_options: bool | None | Unset = UNSET
    stream_false: bool | None | Unset = UNSET
    logprobs: bool | None | Unset = UNSET
    tool_limits: bool | None | Unset = UNSET
    service_tier: None | str | Unset = UNSET
    responses: bool | None | Unset = UNSET
    drop_unknown: bool | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        output_limit: None | str | Unset
        if isinstance(self.output_limit, Unset):
            output_limit = UNSET
        elif isinstance(self.output_limit, OutputLimitEnum):
            output_limit = self.output_limit.value
        else:
            output_limit = self.output_limit

        stream_options: bool | None | Unset
        if isinstance(self.stream_options, Unset):
            stream_options = UNSET
        else:
            stream_options = self.stream_options

        stream_false: bool | None | Unset
        if isinstance(self.stream_false, Unset):
            stream_false = UNSET
        else:
            stream_false = self.stream_false

        logprobs: bool | None | Unset
        if isinstance(self.logprobs, Unset):
            logprobs = UNSET
        else:
            logprobs = self.logprobs

        tool_limits: bool | None | Unset
        if isinstance(self.tool_limits, Unset):
            tool_limits = UNSET
        else:
            tool_limits = self.tool_limits

        service_tier: None | str | Unset
        if isinstance(self.service_tier, Unset):
            service_tier = UNSET
        else:
            service_tier = self.service_tier

        responses: bool | None | Unset
        if isinstance(self.responses, Unset):
            responses = UNSET
        else:
            responses = self.responses

        drop_unknown: bool | None | Unset
        if isinstance(self.drop_unknown, Unset):
            drop_unknown = UNSET
        else:
            drop_unknown = self.drop_unknown

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if output_limit is not UNSET:
            field_dict["output_limit"] = output_limit
        if stream_options is not UNSET:
            field_dict["stream_options"] = stream_options
        if stream_false is not UNSET:
            field_dict["stream_false"] = stream_false
        if logprobs is not UNSET:
            field_dict["logprobs"] = logprobs
        if tool_limits is not UNSET:
            field_dict["tool_limits"] = tool_limits
        if service_tier is not UNSET:
            field_dict["service_tier"] = service_tier
        if responses is not UNSET:
            field_dict["responses"] = responses
        if drop_unknown is not UNSET:
            field_dict["drop_unknown"] = drop_unknown

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_output_limit(data: object) -> None | OutputLimitEnum | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                output_limit_type_0 = OutputLimitEnum(data)

                return output_limit_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OutputLimitEnum | Unset, data)

        output_limit = _parse_output_limit(d.pop("output_limit", UNSET))

        def _parse_stream_options(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        stream_options = _parse_stream_options(d.pop("stream_options", UNSET))

        def _parse_stream_false(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        stream_false = _parse_stream_false(d.pop("stream_false", UNSET))

        def _parse_logprobs(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        logprobs = _parse_logprobs(d.pop("logprobs", UNSET))

        def _parse_tool_limits(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        tool_limits = _parse_tool_limits(d.pop("tool_limits", UNSET))

        def _parse_service_tier(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        service_tier = _parse_service_tier(d.pop("service_tier", UNSET))

        def _parse_responses(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        responses = _parse_responses(d.pop("responses", UNSET))

        def _parse_drop_unknown(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        drop_unknown = _parse_drop_unknown(d.pop("drop_unknown", UNSET))

        habits = cls(
            output_limit=output_limit,
            stream_options=stream_options,
            stream_false=stream_false,
            logprobs=logprobs,
            tool_limits=tool_limits,
            service_tier=service_tier,
            responses=responses,
            drop_unknown=drop_unknown,
        )

        habits.additional_properties = d
        return habits

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
