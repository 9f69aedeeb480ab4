from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.collection_enum import CollectionEnum
from ..models.dunning_enum import DunningEnum
from ..models.pack_to_enum import PackToEnum
from ..types import UNSET, Unset

T = TypeVar("T", bound="AccountAnswer")


@_attrs_define
class AccountAnswer:
    """Whom invoices are made out to.

    Attributes:
        id (UUID): the row's id
        seller (str): who issues the invoices
        name (str): a name for people
        country (str): ISO 3166's two letters
        top_up_below (None | str): below how many USD of credits more are bought; null: never
        top_up_amount (None | str): how many USD at once; null: none
        created_at (datetime.datetime): when it was made
        street (str | Unset): street and number
        postcode (str | Unset): postal code
        city (str | Unset): town
        tax_id (str | Unset): the tax number, such as a VAT id
        po_number (str | Unset): the buyer's order number, printed on invoices
        emails (list[str] | Unset): who gets the documents
        collection (CollectionEnum | Unset):
        pack_to (PackToEnum | Unset):
        bucket_url (str | Unset): the customer's own bucket for them; empty: none
        bucket_region (str | Unset): the bucket's region
        bucket_key_id (str | Unset): the id of the key that puts them there
        dunning (DunningEnum | Unset):
    """

    id: UUID
    seller: str
    name: str
    country: str
    top_up_below: None | str
    top_up_amount: None | str
    created_at: datetime.datetime
    street: str | Unset = UNSET
    postcode: str | Unset = UNSET
    city: str | Unset = UNSET
    tax_id: str | Unset = UNSET
    po_number: str | Unset = UNSET
    emails: list[str] | Unset = UNSET
    collection: CollectionEnum | Unset = UNSET
    pack_to: PackToEnum | Unset = UNSET
    bucket_url: str | Unset = UNSET
    bucket_region: str | Unset = UNSET
    bucket_key_id: str | Unset = UNSET
    dunning: DunningEnum | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        seller = self.seller

        name = self.name

        country = self.country

        top_up_below: None | str
        top_up_below = self.top_up_below

        top_up_amount: None | str
        top_up_amount = self.top_up_amount

        created_at = self.created_at.isoformat()

        street = self.street

        postcode = self.postcode

        city = self.city

        tax_id = self.tax_id

        po_number = self.po_number

        emails: list[str] | Unset = UNSET
        if not isinstance(self.emails, Unset):
            emails = self.emails

        collection: str | Unset = UNSET
        if not isinstance(self.collection, Unset):
            collection = self.collection.value

        pack_to: str | Unset = UNSET
        if not isinstance(self.pack_to, Unset):
            pack_to = self.pack_to.value

        bucket_url = self.bucket_url

        bucket_region = self.bucket_region

        bucket_key_id = self.bucket_key_id

        dunning: str | Unset = UNSET
        if not isinstance(self.dunning, Unset):
            dunning = self.dunning.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "seller": seller,
                "name": name,
                "country": country,
                "top_up_below": top_up_below,
                "top_up_amount": top_up_amount,
                "created_at": created_at,
            }
        )
        if street is not UNSET:
            field_dict["street"] = street
        if postcode is not UNSET:
            field_dict["postcode"] = postcode
        if city is not UNSET:
            field_dict["city"] = city
        if tax_id is not UNSET:
            field_dict["tax_id"] = tax_id
        if po_number is not UNSET:
            field_dict["po_number"] = po_number
        if emails is not UNSET:
            field_dict["emails"] = emails
        if collection is not UNSET:
            field_dict["collection"] = collection
        if pack_to is not UNSET:
            field_dict["pack_to"] = pack_to
        if bucket_url is not UNSET:
            field_dict["bucket_url"] = bucket_url
        if bucket_region is not UNSET:
            field_dict["bucket_region"] = bucket_region
        if bucket_key_id is not UNSET:
            field_dict["bucket_key_id"] = bucket_key_id
        if dunning is not UNSET:
            field_dict["dunning"] = dunning

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        seller = d.pop("seller")

        name = d.pop("name")

        country = d.pop("country")

        def _parse_top_up_below(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        top_up_below = _parse_top_up_below(d.pop("top_up_below"))

        def _parse_top_up_amount(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        top_up_amount = _parse_top_up_amount(d.pop("top_up_amount"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        street = d.pop("street", UNSET)

        postcode = d.pop("postcode", UNSET)

        city = d.pop("city", UNSET)

        tax_id = d.pop("tax_id", UNSET)

        po_number = d.pop("po_number", UNSET)

        emails = cast(list[str], d.pop("emails", UNSET))

        _collection = d.pop("collection", UNSET)
        collection: CollectionEnum | Unset
        if isinstance(_collection, Unset):
            collection = UNSET
        else:
            collection = CollectionEnum(_collection)

        _pack_to = d.pop("pack_to", UNSET)
        pack_to: PackToEnum | Unset
        if isinstance(_pack_to, Unset):
            pack_to = UNSET
        else:
            pack_to = PackToEnum(_pack_to)

        bucket_url = d.pop("bucket_url", UNSET)

        bucket_region = d.pop("bucket_region", UNSET)

        bucket_key_id = d.pop("bucket_key_id", UNSET)

        _dunning = d.pop("dunning", UNSET)
        dunning: DunningEnum | Unset
        if isinstance(_dunning, Unset):
            dunning = UNSET
        else:
            dunning = DunningEnum(_dunning)

        account_answer = cls(
            id=id,
            seller=seller,
            name=name,
            country=country,
            top_up_below=top_up_below,
            top_up_amount=top_up_amount,
            created_at=created_at,
            street=street,
            postcode=postcode,
            city=city,
            tax_id=tax_id,
            po_number=po_number,
            emails=emails,
            collection=collection,
            pack_to=pack_to,
            bucket_url=bucket_url,
            bucket_region=bucket_region,
            bucket_key_id=bucket_key_id,
            dunning=dunning,
        )

        account_answer.additional_properties = d
        return account_answer

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
