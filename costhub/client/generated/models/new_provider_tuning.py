from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewProviderTuning")


@_attrs_define
class NewProviderTuning:
    """What it is made of; ``upstream`` and ``project`` by name or id. ``per_million``: USD that the provider asks for a
    million trained tokens.

        Attributes:
            version (str): a version, by id
            upstream (str): an upstream, by id; where it is written also by name
            project (str): a project, by id; where it is written also by name
            name (str): a name for people
            base_model (str): the language model that is trained on, by the provider's or the operator's name
            per_million (str): USD per million trained tokens
            epochs (int | Unset): how often all examples are gone through
    """

    version: str
    upstream: str
    project: str
    name: str
    base_model: str
    per_million: str
    epochs: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        version = self.version

        upstream = self.upstream

        project = self.project

        name = self.name

        base_model = self.base_model

        per_million = self.per_million

        epochs = self.epochs

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "version": version,
                "upstream": upstream,
                "project": project,
                "name": name,
                "base_model": base_model,
                "per_million": per_million,
            }
        )
        if epochs is not UNSET:
            field_dict["epochs"] = epochs

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        version = d.pop("version")

        upstream = d.pop("upstream")

        project = d.pop("project")

        name = d.pop("name")

        base_model = d.pop("base_model")

        per_million = d.pop("per_million")

        epochs = d.pop("epochs", UNSET)

        new_provider_tuning = cls(
            version=version,
            upstream=upstream,
            project=project,
            name=name,
            base_model=base_model,
            per_million=per_million,
            epochs=epochs,
        )

        new_provider_tuning.additional_properties = d
        return new_provider_tuning

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
