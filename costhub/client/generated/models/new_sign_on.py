from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.role import Role
from ..models.sign_on_kind import SignOnKind
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewSignOn")


@_attrs_define
class NewSignOn:
    """OIDC: ``issuer``, ``client_id``, ``client_secret``. SAML: ``entity_id``, ``sso_url``, ``certificate`` (PEM).

    Attributes:
        name (str): a name for people
        kind (SignOnKind):
        role (Role):
        issuer (str | Unset): the OpenID Connect provider's address, as its tokens name it
        client_id (str | Unset): our name at the OpenID Connect provider
        client_secret (str | Unset): our secret at the OpenID Connect provider; never shown
        entity_id (str | Unset): the SAML provider's name of itself
        sso_url (str | Unset): where the SAML provider lets people sign in
        certificate (str | Unset): the SAML provider's signing certificate, PEM
    """

    name: str
    kind: SignOnKind
    role: Role
    issuer: str | Unset = UNSET
    client_id: str | Unset = UNSET
    client_secret: str | Unset = UNSET
    entity_id: str | Unset = UNSET
    sso_url: str | Unset = UNSET
    certificate: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        kind = self.kind.value

        role = self.role.value

        issuer = self.issuer

        client_id = self.client_id

        client_secret = self.client_secret

        entity_id = self.entity_id

        sso_url = self.sso_url

        certificate = self.certificate

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "kind": kind,
                "role": role,
            }
        )
        if issuer is not UNSET:
            field_dict["issuer"] = issuer
        if client_id is not UNSET:
            field_dict["client_id"] = client_id
        if client_secret is not UNSET:
            field_dict["client_secret"] = client_secret
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
        name = d.pop("name")

        kind = SignOnKind(d.pop("kind"))

        role = Role(d.pop("role"))

        issuer = d.pop("issuer", UNSET)

        client_id = d.pop("client_id", UNSET)

        client_secret = d.pop("client_secret", UNSET)

        entity_id = d.pop("entity_id", UNSET)

        sso_url = d.pop("sso_url", UNSET)

        certificate = d.pop("certificate", UNSET)

        new_sign_on = cls(
            name=name,
            kind=kind,
            role=role,
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret,
            entity_id=entity_id,
            sso_url=sso_url,
            certificate=certificate,
        )

        new_sign_on.additional_properties = d
        return new_sign_on

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
