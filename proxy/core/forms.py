"""Bodies that are forms (RFC 7578, multipart/form-data), as far as they must be read: their short fields, and how long
their files are. Pure.

What is sent on is the form that came, byte by byte, but for a field that we write. So that no server reads another
value than we did, a field that stands there twice is refused, and so is what begins in any other way than clients
write it.
"""

import re
from typing import Final

from proxy.errors import InvalidRequest
from proxy.values.form import Form, Part

MOST_PARTS: Final = 64
#: of the lines that stand before what a part holds
MOST_HEAD_BYTES: Final = 4 * 1024
_BOUNDARY: Final = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})\r\n")
_NAME: Final = re.compile(rb'form-data; *name="([^"\r\n]{1,100})"((?:; *filename\*?=[^\r\n]*)?)', re.IGNORECASE)
_DISPOSITION: Final = b"content-disposition:"


def read_form(raw: bytes) -> Form:
    """The fields and files of a form. Raises InvalidRequest for a body that is no form, or has a field that is no file
    twice."""
    found = _BOUNDARY.match(raw)
    if found is None:
        raise _malformed()
    boundary = found[1]
    # No more often than it may be: a body of nothing but boundaries would come to millions of parts.
    sections = (b"\r\n" + raw).split(b"\r\n--" + boundary, MOST_PARTS + 2)
    if len(sections) - 2 > MOST_PARTS:
        raise InvalidRequest(f"The form has more than {MOST_PARTS} parts.", code="invalid_form")
    if len(sections) < 3 or sections[0] or not sections[-1].startswith(b"--"):
        raise _malformed()
    parts = tuple(_read_part(section) for section in sections[1:-1])
    names = [part.name for part in parts if not part.is_file]
    for name in names:
        if names.count(name) > 1 and not name.endswith("[]"):
            raise InvalidRequest(f"The form has the field {name} more than once.", param=name)
    return Form(boundary, parts)


def _read_part(section: bytes) -> Part:
    head, blank, content = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not section.startswith(b"\r\n") or not blank or len(head) > MOST_HEAD_BYTES:
        raise _malformed()
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(_DISPOSITION)]
    found = _NAME.fullmatch(lines[0][len(_DISPOSITION) :].strip()) if len(lines) == 1 else None
    if found is None:
        raise _malformed()
    return Part(found[1].decode("utf-8", "replace"), bool(found[2]), head, content)


def _malformed() -> InvalidRequest:
    return InvalidRequest(
        "The body is no form that can be read: send multipart/form-data, as clients write it.", code="invalid_form"
    )
