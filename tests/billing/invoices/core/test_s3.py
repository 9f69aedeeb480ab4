"""A signed PUT: what AWS's own signer says of the same request."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import time_machine
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from billing.invoices.core.s3 import Bucket, address_of, sign_put

NOW = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://s3.eu-central-1.amazonaws.com/acme-finance", "finance-2026-10.zip"),
        ("https://s3.example:9000/acme/of/papers/", "finance-2026-10.zip"),
        ("http://127.0.0.1:5000/acme", "papers/of October+ü.zip"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"zip" * 1_000])
def test_it_is_the_signature_of_awss_own_library(url: str, name: str, content: bytes) -> None:
    bucket = Bucket(url, "eu-central-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    ours = sign_put(bucket, name, content, NOW)
    theirs = AWSRequest("PUT", address_of(bucket, name), data=content, headers={"host": urlsplit(url).netloc})
    with time_machine.travel(NOW, tick=False):
        S3SigV4Auth(Credentials(bucket.key_id, bucket.secret), "s3", bucket.region).add_auth(theirs)
    assert theirs.headers["Authorization"].replace(", ", ",") == ours["authorization"]
    assert theirs.headers["X-Amz-Date"] == ours["x-amz-date"] == "20261130T235959Z"


def test_its_secret_is_in_no_text() -> None:
    assert "wJal" not in repr(Bucket("https://s3.example/b", "r", "k", "wJalrXUtnFEMI"))
