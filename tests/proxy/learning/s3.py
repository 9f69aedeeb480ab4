"""An S3 of this test run alone: moto's server, which honours conditional puts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class S3:
    """A running server with an empty bucket."""

    endpoint: str
    bucket: str

    def url(self, prefix: str) -> str:
        """A part of the bucket."""
        return f"s3://{self.bucket}/{prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """AWS's variables of a process that keeps something here."""
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "access",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def read_everything(self) -> bytes:
        """The names and contents of all that is kept, one after the other."""
        client = _connect(self.endpoint)
        try:
            found = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            names = [each["Key"] for each in found]
            return b"\n".join(
                name.encode() + b"\n" + client.get_object(Bucket=self.bucket, Key=name)["Body"].read() for name in names
            )
        finally:
            client.close()


def _connect(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="access",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


@contextmanager
def run_s3() -> Iterator[S3]:
    """A server until the block ends."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    # All servers of a process keep their buckets in one place, so that each has one of its own.
    bucket = f"checkpoints-{uuid4().hex}"
    client = _connect(endpoint)
    client.create_bucket(Bucket=bucket)
    client.close()
    try:
        yield S3(endpoint, bucket)
    finally:
        server.stop()
