from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="WhatIfBody")


@_attrs_define
class WhatIfBody:
    """Past calls of a model or route, and the policy that they are replayed under. ``to`` is another model, or a route
    of a kind that reads no prompts: fixed, fallbacks, weighted or canary. Only what is given changes; the two
    prices, in USD for a million tokens, go together, and without ``to``.
    ``confidence_percent`` is of a cascade, and goes with none of the others.

        Attributes:
            model (str): a model, by the organisation's name for it
            range_ (str | Unset): how far back: 7d, 30d, or days
            to (str | Unset): the model that they would have been asked of, or a route that reads no prompts
            input_per_million (str | Unset): USD per million tokens of input
            output_per_million (str | Unset): USD per million tokens of output
            share_percent (int | Unset): how many of the calls go to the new target
            compression_percent (list[int] | Unset): low and high: by how much prompts would be shorter
            is_batch (bool | Unset): whether all would be asked in batches
            confidence_percent (int | Unset): how sure an answer must be to stand
    """

    model: str
    range_: str | Unset = UNSET
    to: str | Unset = UNSET
    input_per_million: str | Unset = UNSET
    output_per_million: str | Unset = UNSET
    share_percent: int | Unset = UNSET
    compression_percent: list[int] | Unset = UNSET
    is_batch: bool | Unset = UNSET
    confidence_percent: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model = self.model

        range_ = self.range_

        to = self.to

        input_per_million = self.input_per_million

        output_per_million = self.output_per_million

        share_percent = self.share_percent

        compression_percent: list[int] | Unset = UNSET
        if not isinstance(self.compression_percent, Unset):
            compression_percent = self.compression_percent

        is_batch = self.is_batch

        confidence_percent = self.confidence_percent

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "model": model,
            }
        )
        if range_ is not UNSET:
            field_dict["range"] = range_
        if to is not UNSET:
            field_dict["to"] = to
        if input_per_million is not UNSET:
            field_dict["input_per_million"] = input_per_million
        if output_per_million is not UNSET:
            field_dict["output_per_million"] = output_per_million
        if share_percent is not UNSET:
            field_dict["share_percent"] = share_percent
        if compression_percent is not UNSET:
            field_dict["compression_percent"] = compression_percent
        if is_batch is not UNSET:
            field_dict["is_batch"] = is_batch
        if confidence_percent is not UNSET:
            field_dict["confidence_percent"] = confidence_percent

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = d.pop("model")

        range_ = d.pop("range", UNSET)

        to = d.pop("to", UNSET)

        input_per_million = d.pop("input_per_million", UNSET)

        output_per_million = d.pop("output_per_million", UNSET)

        share_percent = d.pop("share_percent", UNSET)

        compression_percent = cast(list[int], d.pop("compression_percent", UNSET))

        is_batch = d.pop("is_batch", UNSET)

        confidence_percent = d.pop("confidence_percent", UNSET)

        what_if_body = cls(
            model=model,
            range_=range_,
            to=to,
            input_per_million=input_per_million,
            output_per_million=output_per_million,
            share_percent=share_percent,
            compression_percent=compression_percent,
            is_batch=is_batch,
            confidence_percent=confidence_percent,
        )

        what_if_body.additional_properties = d
        return what_if_body

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
