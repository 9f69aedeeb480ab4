"""A body that is a form, as a value."""

from collections.abc import Mapping
from typing import NamedTuple


class Part(NamedTuple):
    """One field, with the lines that stand before what it holds."""

    name: str
    is_file: bool
    head: bytes
    content: bytes


class Form(NamedTuple):
    """A form's parts in their order."""

    boundary: bytes
    parts: tuple[Part, ...]

    @property
    def content_type(self) -> str:
        """As the header says it."""
        return f'multipart/form-data; boundary="{self.boundary.decode()}"'

    @property
    def fields(self) -> Mapping[str, str]:
        """What is no file, as text."""
        return {part.name: part.content.decode("utf-8", "replace") for part in self.parts if not part.is_file}

    @property
    def files(self) -> tuple[bytes, ...]:
        """What its files hold."""
        return tuple(part.content for part in self.parts if part.is_file)

    @property
    def file_bytes(self) -> int:
        """How long all files are together."""
        return sum(map(len, self.files))

    def write(self, **fields: str) -> bytes:
        """The form with other values in some fields."""
        written = bytearray()
        for part in self.parts:
            content = fields[part.name].encode() if part.name in fields else part.content
            written += b"--%b\r\n%b\r\n\r\n%b\r\n" % (self.boundary, part.head, content)
        return bytes(written + b"--%b--\r\n" % self.boundary)
