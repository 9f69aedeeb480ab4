from enum import StrEnum


class ScopesEnum(StrEnum):
    ASK_MONEY = "ask_money"
    READ = "read"
    READ_MONEY = "read_money"
    WRITE_KEYS = "write_keys"
    WRITE_MEMBERS = "write_members"
    WRITE_MONEY = "write_money"
    WRITE_SETTINGS = "write_settings"

    def __str__(self) -> str:
        return str(self.value)
