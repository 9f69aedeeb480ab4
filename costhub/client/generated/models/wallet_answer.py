from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.wallet_answer_accounts import WalletAnswerAccounts


T = TypeVar("T", bound="WalletAnswer")


@_attrs_define
class WalletAnswer:
    """Prepaid credits in USD: what the books hold, and what is left of it to be spent now. ``accounts`` sum to zero.

    Attributes:
        balance (str): credits in the books, decimal USD
        available (str): credits that can be spent now, decimal USD
        accounts (WalletAnswerAccounts): what each account of the wallet holds, decimal USD; they sum to zero
    """

    balance: str
    available: str
    accounts: WalletAnswerAccounts
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        balance = self.balance

        available = self.available

        accounts = self.accounts.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "balance": balance,
                "available": available,
                "accounts": accounts,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.wallet_answer_accounts import WalletAnswerAccounts  # noqa: PLC0415

        d = dict(src_dict)
        balance = d.pop("balance")

        available = d.pop("available")

        accounts = WalletAnswerAccounts.from_dict(d.pop("accounts"))

        wallet_answer = cls(
            balance=balance,
            available=available,
            accounts=accounts,
        )

        wallet_answer.additional_properties = d
        return wallet_answer

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
