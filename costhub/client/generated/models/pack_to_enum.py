from enum import StrEnum


class PackToEnum(StrEnum):
    FILES = "files"
    MAIL = "mail"
    NONE = "none"
    S3 = "s3"

    def __str__(self) -> str:
        return str(self.value)
