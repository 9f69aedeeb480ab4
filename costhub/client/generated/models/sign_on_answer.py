from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..models.sign_on_kind import SignOnKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="SignOnAnswer")


@_attrs_define
class SignOnAnswer:
    """An identity provider, without its secret. ``callback_url`` is what the provider wants to know of us: the redirect
    URI of OIDC, the assertion consumer service of SAML; for SAML ``metadata_url`` has all of it.

        Attributes:
            id (UUID): the row's id
            name (str): a name for people
            kind (SignOnKind):
            role (Role):
            callback_url (str): Where the provider sends people back to.
            metadata_url (str): Our own description, for SAML.
            created_at (datetime.datetime): when it was made
            is_active (bool | Unset): whether it is in force; what is switched off keeps its row
            issuer (str | Unset): the OpenID Connect provider's address, as its tokens name it
            client_id (str | Unset): our name at the OpenID Connect provider
            entity_id (str | Unset): the SAML provider's name of itself
            sso_url (str | Unset): where the SAML provider lets people sign in
            certificate (str | Unset): the SAML provider's signing certificate, PEM
    """

    id: UUID
    name: str
    kind: SignOnKind
    role: Role
    callback_url: str
    metadata_url: str
    created_at: datetime.datetime
    is_active: bool | Unset = UNSET
    issuer: str | Unset = UNSET
    client_id: str | Unset = UNSET
    entity_id: str | Unset = UNSET
    sso_url: str | Unset = UNSET
    certificate: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        name = self.name

        kind = self.kind.value

        role = self.role.value

        callback_url = self.callback_url

        metadata_url = self.metadata_url

        created_at = self.created_at.isoformat()

        is_active = self.is_active

        issuer = self.issuer

        client_id = self.client_id

        entity_id = self.entity_id

        sso_url = self.sso_url

        certificate = self.certificate

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "kind": kind,
                "role": role,
                "callback_url": callback_url,
                "metadata_url": metadata_url,
                "created_at": created_at,
            }
        )
        if is_active is not UNSET:
            field_dict["is_active"] = is_active
        if issuer is not UNSET:
            field_dict["issuer"] = issuer
        if client_id is not UNSET:
            field_dict["client_id"] = client_id
        if entity_id is not UNSET:
            field_dict["entity_id"] = entity_id
        if sso_url is not UNSET:
            field_dict["sso_url"] = sso_url
        if certificate is not UNSET:
            field_dict["certificate"] = certificate

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        name = d.pop("name")

        kind = SignOnKind(d.pop("kind"))

        role = Role(d.pop("role"))

        callback_url = d.pop("callback_url")

        metadata_url = d.pop("metadata_url")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        is_active = d.pop("is_active", UNSET)

        issuer = d.pop("issuer", UNSET)

        client_id = d.pop("client_id", UNSET)

        entity_id = d.pop("entity_id", UNSET)

        sso_url = d.pop("sso_url", UNSET)

        certificate = d.pop("certificate", UNSET)

        sign_on_answer = cls(
            id=id,
            name=name,
            kind=kind,
            role=role,
            callback_url=callback_url,
            metadata_url=metadata_url,
            created_at=created_at,
            is_active=is_active,
            issuer=issuer,
            client_id=client_id,
            entity_id=entity_id,
            sso_url=sso_url,
            certificate=certificate,
        )

        sign_on_answer.additional_properties = d
        return sign_on_answer

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
