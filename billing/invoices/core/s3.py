"""A signed PUT to a bucket of S3's kind, by AWS's Signature Version 4. Pure.

By hand because the library that keeps our own files opens connections of its own and reads the operator's AWS
variables: a customer's bucket is reached through the gate alone, with the customer's key alone.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects go: ``url`` is ``https://endpoint/bucket``, with a prefix or without one."""

    url: str
    region: str
    key_id: str
    secret: str = field(repr=False)


def address_of(bucket: Bucket, name: str) -> str:
    """The URL of an object in it."""
    return f"{bucket.url.rstrip('/')}/{quote(name, safe='/-_.~')}"


def sign_put(bucket: Bucket, name: str, content: bytes, now: datetime) -> dict[str, str]:
    """The headers with which ``content`` may be put there within some minutes of ``now``."""
    parts = urlsplit(address_of(bucket, name))
    moment = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    digest = hashlib.sha256(content).hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(headers)
    lines = [f"{header}:{value}" for header, value in headers.items()]
    request = "\n".join(["PUT", parts.path, "", *lines, "", names, digest])
    scope = f"{moment[:8]}/{bucket.region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{bucket.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"{_ALGORITHM} Credential={bucket.key_id}/{scope},SignedHeaders={names},Signature={signature}"
    return {
        "x-amz-content-sha256": digest,
        "x-amz-date": moment,
        "authorization": authorization,
        "content-type": "application/zip",
    }
