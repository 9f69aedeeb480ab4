"""The same Idempotency-Key again: the first answer, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from django.conf import settings

from costhub.lib import clock, secrets
from costhub.lib.redis import client
from proxy.core.row import open_row
from proxy.dialects.openai_chat import parse_request
from proxy.edges import idempotency as module
from proxy.edges.entry import Entry
from proxy.edges.idempotency import REPLACE_CLAIM, Idempotency
from proxy.edges.reply import Reply
from proxy.edges.valkey import Valkey
from proxy.errors import GovernanceUnavailable, IdempotencyConflict, UpstreamError
from proxy.values.request import Endpoint
from tenants.snapshots import KeySnapshot, OrgSnapshot
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.till import Till

BODY = orjson.dumps({"model": "small", "messages": [{"role": "user", "content": "Where?"}]})
STREAMED = orjson.dumps({"model": "small", "stream": True, "messages": [{"role": "user", "content": "Where?"}]})


DATA_KEY = secrets.make_data_key(settings.MASTER_KEYS, "org")


@dataclass
class Caller:
    """One API key's way to the replays, and what came back to it."""

    idempotency: Idempotency
    org: OrgSnapshot
    key: KeySnapshot
    served: int = 0
    heads: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    async def call(
        self,
        name: str,
        raw: bytes = BODY,
        *,
        answer: bytes = b"",
        error: BaseException | None = None,
        **charged: Any,
    ) -> bytes:
        """Make a call as the pipeline does. Gives the body that the caller received."""
        request_id, now = clock.new_request_id()
        row = open_row(request_id, now, self.key, "chat/completions") | charged
        entry = Entry(request_id, now, 0, self.key, self.org, row)
        self.entries.append(entry)
        received: list[bytes] = []

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.heads.append({name.decode(): value.decode() for name, value in message["headers"]})
            else:
                received.append(message["body"])

        reply = Reply(send)
        request = parse_request(Endpoint.CHAT, raw)
        async with self.idempotency.once(name, request, raw, entry, reply) as is_first:
            if is_first:
                self.served += 1
                content_type = "text/event-stream" if request.is_stream else "application/json"
                await reply.begin(200, {"content-type": content_type, "x-request-id": request_id})
                await reply.chunk(answer or b"answer %d, " % self.served)
                if error is not None:
                    raise error
                await reply.end(b"whole")
        return b"".join(received)


@pytest.fixture
async def caller(till: Till) -> AsyncIterator[Caller]:
    valkey = Valkey(settings.REDIS_URL, [REPLACE_CLAIM], PATIENCE_SECONDS * 1000)
    await valkey.open()
    org = OrgSnapshot("org", "acme", 1, till.shard, "UTC", True, DATA_KEY, {}, {}, ())
    yield Caller(Idempotency(valkey), org, KeySnapshot("key", "org", "project", 1, None, None, None, False))
    await valkey.close()


class TestAgain:
    async def test_the_first_answer_is_sent_again(self, caller: Caller) -> None:
        assert [await caller.call("k") for _ in range(3)] == [b"answer 1, whole"] * 3
        assert caller.served == 1
        first, second, _ = caller.entries
        assert caller.heads[1] == {
            "content-type": "application/json",
            "x-request-id": second.request_id,
            "x-costhub-replayed": "true",
            "x-costhub-original-request-id": first.request_id,
            "x-costhub-cost": "0.000000000",
            "content-length": "15",
            "x-content-type-options": "nosniff",
        }
        assert [entry.row["cache_status"] for entry in caller.entries] == ["bypass", "replayed", "replayed"]

    async def test_a_stream_is_sent_again_as_one(self, caller: Caller) -> None:
        answer = b"data: {}\n\ndata: [DONE]\n\n"
        for _ in range(2):
            assert await caller.call("k", STREAMED, answer=answer) == answer + b"whole"
        assert caller.heads[1]["content-type"] == "text/event-stream"

    async def test_an_answer_may_hold_any_bytes(self, caller: Caller) -> None:
        answer = b"\n\0\xff\n" * 3
        assert [await caller.call("k", answer=answer) for _ in range(2)] == [answer + b"whole"] * 2

    async def test_without_a_key_every_call_is_its_own(self, caller: Caller) -> None:
        assert [await caller.call("") for _ in range(2)] == [b"answer 1, whole", b"answer 2, whole"]

    async def test_other_keys_and_other_callers_have_their_own(self, caller: Caller) -> None:
        other = replace(caller, key=replace(caller.key, id="another"))
        assert await caller.call("k") == b"answer 1, whole"
        assert await caller.call("K") == b"answer 2, whole"
        assert await other.call("k") == b"answer 1, whole"
        assert other.served == 1

    async def test_it_is_kept_for_a_day(self, caller: Caller, till: Till) -> None:
        await caller.call("k")
        await caller.call("k")
        (name,) = client().scan_iter(match=f"{{s{till.shard}}}:idem:*")
        assert 86_000 < client().ttl(name) <= 86_400


class TestSealed:
    async def test_valkey_has_nothing_of_an_answer_in_clear(self, caller: Caller) -> None:
        await caller.call("k", answer=b"In Rome, ")
        assert await caller.call("k") == b"In Rome, whole"
        (raw,) = await stored(caller)
        head, _, sealed = raw.partition(b"\n")
        assert orjson.loads(head) | {"body": "", "charged": ""} == {
            "body": "",
            "charged": "",
            "request_id": caller.entries[0].request_id,
            "sealed_type": "application/json",
        }
        assert sealed.startswith(b"\x01")
        assert b"Rome" not in raw

    async def test_it_opens_under_no_other_idempotency_key(self, caller: Caller) -> None:
        await caller.call("k", answer=b"In Rome, ")
        (name,), (raw,) = names(caller), await stored(caller)
        await caller.call("K", answer=b"In Oslo, ")
        await stored(caller)
        (other,) = [one for one in names(caller) if one != name]
        client().set(other, raw)
        with pytest.raises(IdempotencyConflict, match="was answered and charged, but its answer cannot be opened"):
            await caller.call("K")

    async def test_nor_when_the_organisations_data_key_was_overwritten(self, caller: Caller) -> None:
        await caller.call("k")
        erased = replace(caller, org=replace(caller.org, data_key=secrets.make_data_key(settings.MASTER_KEYS, "org")))
        with pytest.raises(IdempotencyConflict, match="its answer cannot be opened") as caught:
            await erased.call("k")
        assert (caught.value.status, caught.value.headers) == (409, {"x-should-retry": "false"})
        assert erased.served == 1, "as many as before: it is neither made nor charged again"

    async def test_a_data_key_that_does_not_open_fails_no_call(self, caller: Caller) -> None:
        broken = replace(caller, org=replace(caller.org, data_key=b""))
        assert await broken.call("k") == b"answer 1, whole"
        with pytest.raises(IdempotencyConflict, match="its answer cannot be opened"):
            await broken.call("k")

    async def test_what_was_kept_before_answers_were_sealed_is_sent_again(self, caller: Caller) -> None:
        await caller.call("k")
        (name,), (raw,) = names(caller), await stored(caller)
        head = orjson.loads(raw.partition(b"\n")[0])
        head["content_type"] = head.pop("sealed_type")
        # Also one of sound, whose first byte is that of what is sealed.
        client().set(name, orjson.dumps(head) + b"\n\x01in clear\n")
        assert await caller.call("k") == b"\x01in clear\n"


def names(caller: Caller) -> list[bytes]:
    return sorted(client().scan_iter(match=f"{{s{caller.org.shard}}}:idem:*"))


async def stored(caller: Caller) -> list[bytes]:
    """What is kept under them: it is not waited for, but stands in line before this."""
    await caller.idempotency._valkey.send(b"GET", "nothing")
    found = [client().get(name) for name in names(caller)]
    assert all(isinstance(one, bytes) for one in found)
    return [one for one in found if isinstance(one, bytes)]


class TestConflict:
    @pytest.mark.parametrize("other", [BODY + b" ", STREAMED])
    async def test_another_body_under_the_same_key(self, caller: Caller, other: bytes) -> None:
        await caller.call("k")
        with pytest.raises(IdempotencyConflict, match="used with another body") as caught:
            await caller.call("k", other)
        assert caught.value.status == 409
        assert await caller.call("k") == b"answer 1, whole"

    @pytest.mark.parametrize(
        "other",
        [
            {"tags": {"team": "sales"}},
            {"tags": {}},
            {"tags": {"team": "search", "env": "prod"}},
            {"tags": {"team": "search"}, "session": "run-8"},
        ],
    )
    async def test_the_same_for_whom_somebody_else_would_pay(self, caller: Caller, other: dict[str, Any]) -> None:
        first: dict[str, Any] = {"tags": {"team": "search"}, "session": ""}
        await caller.call("k", **first)
        with pytest.raises(IdempotencyConflict, match="used with other tags, or in another session"):
            await caller.call("k", **first | other)
        assert await caller.call("k", **first) == b"answer 1, whole"

    async def test_the_order_of_tags_makes_no_difference(self, caller: Caller) -> None:
        await caller.call("k", tags={"a": "1", "b": "2"})
        assert await caller.call("k", tags={"b": "2", "a": "1"}) == b"answer 1, whole"

    async def test_each_end_user_has_keys_of_their_own(self, caller: Caller) -> None:
        """What was written for one is given to no other, nor does another learn that there is something."""
        assert await caller.call("k", end_user="ann") == b"answer 1, whole"
        assert await caller.call("k", end_user="bob") == b"answer 2, whole"
        assert await caller.call("k") == b"answer 3, whole"
        assert await caller.call("k", end_user="ann") == b"answer 1, whole"
        assert await caller.call("k", end_user="bob") == b"answer 2, whole"

    async def test_while_the_first_call_still_runs(self, caller: Caller) -> None:
        outcomes = await asyncio.gather(*(caller.call("k") for _ in range(10)), return_exceptions=True)
        assert caller.served == 1
        assert [outcome for outcome in outcomes if isinstance(outcome, bytes)] == [b"answer 1, whole"]
        conflicts = [outcome for outcome in outcomes if isinstance(outcome, IdempotencyConflict)]
        assert [(one.message, one.headers) for one in conflicts] == [
            ("The first call with this Idempotency-Key still runs.", {"retry-after": "1"})
        ] * 9


class TestFailed:
    @pytest.mark.parametrize("error", [UpstreamError("No."), asyncio.CancelledError(), ValueError()])
    async def test_a_call_that_failed_may_be_tried_again(self, caller: Caller, error: BaseException) -> None:
        with pytest.raises(type(error)):
            await caller.call("k", error=error)
        assert await caller.call("k") == b"answer 2, whole"
        assert await caller.call("k") == b"answer 2, whole"

    async def test_a_late_call_does_not_touch_the_claim_of_another(self, caller: Caller, till: Till) -> None:
        """The first call took longer than its claim was kept; the key is another call's by then."""
        with pytest.raises(UpstreamError):
            await caller.call("k", error=UpstreamError("No."))
        late = caller.entries[0]
        assert await caller.call("k") == b"answer 2, whole"
        asker = module._asker_of("k", late)
        caller.idempotency.give_back(asker)
        caller.idempotency._replace(asker, b"{}\nanother answer")
        assert await caller.call("k") == b"answer 2, whole"

    async def test_who_leaves_while_the_key_is_claimed_leaves_no_claim(self, caller: Caller) -> None:
        client().client_pause(30_000, all=False)
        task = asyncio.create_task(caller.call("k"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        client().client_unpause()
        assert await caller.call("k") == b"answer 1, whole"

    async def test_an_answer_that_is_too_long_is_not_kept(
        self, caller: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_KEPT_BYTES", 10)
        await caller.call("k")
        for _ in range(2):
            with pytest.raises(
                IdempotencyConflict, match="was answered and charged, but its answer is longer"
            ) as caught:
                await caller.call("k")
            assert (caught.value.status, caught.value.headers) == (409, {"x-should-retry": "false"})
        assert caller.served == 1
        assert 86_000 < client().ttl(next(client().scan_iter(match=f"{{s{caller.org.shard}}}:idem:*"))) <= 86_400
        monkeypatch.setattr(module, "MAX_KEPT_BYTES", 15)
        assert await caller.call("K") == await caller.call("K") == b"answer 2, whole"

    async def test_without_valkey_nothing_is_served(self, caller: Caller) -> None:
        await caller.idempotency._valkey.close()
        with pytest.raises(GovernanceUnavailable):
            await caller.call("k")
        assert caller.served == 0

    async def test_nor_while_it_hangs(self, caller: Caller) -> None:
        line = caller.idempotency._valkey._line
        assert line is not None
        line._timeout = 0.15
        client().client_pause(30_000, all=False)
        with pytest.raises(GovernanceUnavailable):
            await caller.call("k")
        client().client_unpause()
        assert caller.served == 0
