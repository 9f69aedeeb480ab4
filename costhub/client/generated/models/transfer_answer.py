from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.wallet_account import WalletAccount
from ..types import UNSET, Unset

T = TypeVar("T", bound="TransferAnswer")


@_attrs_define
class TransferAnswer:
    """A transfer between two accounts of the wallet, in USD.

    Attributes:
        id (UUID): the row's id
        debit (WalletAccount):
        credit (WalletAccount):
        amount (str): decimal USD
        reference (str): a text of your own, by which the same is not done twice
        created_at (datetime.datetime): when it was made
        reason (str | Unset): why, in words
        created_by (str | Unset): who made it: an e-mail address, or the name of a token
    """

    id: UUID
    debit: WalletAccount
    credit: WalletAccount
    amount: str
    reference: str
    created_at: datetime.datetime
    reason: str | Unset = UNSET
    created_by: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = str(self.id)

        debit = self.debit.value

        credit = self.credit.value

        amount = self.amount

        reference = self.reference

        created_at = self.created_at.isoformat()

        reason = self.reason

        created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "debit": debit,
                "credit": credit,
                "amount": amount,
                "reference": reference,
                "created_at": created_at,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = UUID(d.pop("id"))

        debit = WalletAccount(d.pop("debit"))

        credit = WalletAccount(d.pop("credit"))

        amount = d.pop("amount")

        reference = d.pop("reference")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        reason = d.pop("reason", UNSET)

        created_by = d.pop("created_by", UNSET)

        transfer_answer = cls(
            id=id,
            debit=debit,
            credit=credit,
            amount=amount,
            reference=reference,
            created_at=created_at,
            reason=reason,
            created_by=created_by,
        )

        transfer_answer.additional_properties = d
        return transfer_answer

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
