from enum import StrEnum


class SharingEnum(StrEnum):
    END_USER = "end_user"
    KEY = "key"
    ORGANIZATION = "organization"
    PROJECT = "project"

    def __str__(self) -> str:
        return str(self.value)
