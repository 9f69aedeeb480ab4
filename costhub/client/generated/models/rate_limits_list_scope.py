from enum import StrEnum


class RateLimitsListScope(StrEnum):
    END_USER = "end_user"
    KEY = "key"
    MODEL = "model"
    ORGANIZATION = "organization"
    PROJECT = "project"
    SESSION = "session"
    TAG = "tag"

    def __str__(self) -> str:
        return str(self.value)
