"""What a response in the background says while it is made, where nobody can be told."""

import asyncio
from typing import Any

import orjson

from proxy.batches.telling import Teller
from proxy.edges.valkey import Valkey
from tenants.sealed_rows import Sealer

ORG = "0197e9d4-0000-7000-8000-000000000001"


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def test_a_data_key_that_does_not_open_costs_the_telling_and_not_the_answer() -> None:
    """A worker that was started without the key of before. The answer is paid by then."""

    async def tell() -> Any:
        # Nothing is sealed, so that nothing is sent.
        teller = Teller(
            Valkey("redis://127.0.0.1:9", (), 100), 1, "resp_1", "call", Sealer(ORG, b"sealed under another key")
        )
        response = {"id": "resp_1", "status": "completed"}
        for said in (
            event("response.output_text.delta", delta="Hi"),
            event("response.completed", response=response),
        ):
            await teller.send({"type": "http.response.body", "body": said})
        return teller.response

    assert asyncio.run(tell()) == {"id": "resp_1", "status": "completed"}
