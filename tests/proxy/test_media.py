"""Moderations, images and sound: passed through, and billed by tokens or by the piece."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from billing.spend.selectors.upstream_bill import find_used
from costhub.lib import clock
from costhub.lib.money import format_usd
from proxy.tasks import drain_ledger
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tenants.choices import UpstreamKind
from tests.proxy.in_process import Conversation, converse, events_of, make_known, running, send_to, serve
from tests.proxy.scripted_upstream import ScriptedUpstream, stream, whole
from tests.world import Tenant, World, make_catalog

Json = dict[str, Any]

IMAGES: Final = {"created": 1, "data": [{"b64_json": "AAAA"}, {"b64_json": "BBBB"}]}
FORM: Final = (
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\nsmall\r\n'
    b"--xyz\r\n"
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    + b"R" * 5_000
    + b"\r\n--xyz--\r\n"
)


def price(world: World, *, fees: Json | None = None, **amounts: str) -> Tenant:
    """Acme, whose one model costs so much."""
    acme = world.acme
    catalog = make_catalog(
        acme,
        base_url="http://127.0.0.1:9/v1",
        kind=UpstreamKind.OPENAI,
        input_per_million=None,
        upstream_model="theirs",
    )
    with org_scope(acme.org_id):
        usual = {"input_per_million": "0", "output_per_million": "0"}
        prices: dict[str, Any] = {name: Decimal(usd) for name, usd in (usual | amounts).items()}
        create_price(
            actor=acme.owner,
            model=catalog.model,
            fees={name: Decimal(usd) for name, usd in (fees or {}).items()},
            **prices,
        )
    make_known(acme)
    return acme


async def ask(acme: Tenant, answer: list[bytes], conversation: Conversation) -> tuple[Conversation, Json, list[bytes]]:
    """What a caller gets, the call's ledger event, and what the upstream got."""
    upstream = RawUpstream(lambda _: answer)
    try:
        send_to(acme, upstream.base_url)
        async with running() as app:
            got = await serve(app, conversation)
        (row,) = events_of(acme)
        return got, row, upstream.raw_bodies
    finally:
        upstream.close()


async def serve_all(*conversations: Conversation) -> list[Conversation]:
    """What callers get, one after the other."""
    async with running() as app:
        return [await serve(app, conversation) for conversation in conversations]


class RawUpstream(ScriptedUpstream):
    """One whose requests need not be JSON."""

    def read_json(self, raw: bytes) -> Json:
        """Nothing is read of a form."""
        return super().read_json(raw) if raw.startswith(b"{") else {}


def send_form(
    acme: Tenant, path: str, raw: bytes, content_type: str = "multipart/form-data; boundary=xyz"
) -> Conversation:
    conversation = converse(acme.api_key, path=path, content_type=content_type)
    conversation.incoming.get_nowait()
    conversation.incoming.put_nowait({"type": "http.request", "body": raw, "more_body": False})
    return conversation


def test_a_moderation_that_costs_nothing_is_no_estimate(committed_world: World) -> None:
    acme = price(committed_world)
    said = {"id": "modr-1", "model": "theirs", "results": [{"flagged": False}]}
    got, row, (sent,) = asyncio.run(
        ask(acme, whole(said), converse(acme.api_key, {"model": "small", "input": "Hi"}, path="/v1/moderations"))
    )
    assert json.loads(got.body) == said
    assert json.loads(sent) == {"model": "theirs", "input": "Hi"}
    assert (row["endpoint"], row["effective_cost"], row["is_estimated"]) == ("moderations", 0, False)


@pytest.mark.parametrize(
    ("fees", "amounts", "usage", "cost"),
    [
        ({"image": "0.04"}, {}, None, 80_000_000),
        ({}, {"input_per_million": "5", "image_output_per_million": "40"}, (10, 300), 50_000 + 12_000_000),
        # by the piece, and its tokens for nothing
        ({"image": "0.04"}, {}, (10, 300), 80_000_000),
    ],
)
def test_images_are_billed_by_the_piece_or_by_their_tokens(
    committed_world: World, fees: Json, amounts: Json, usage: tuple[int, int] | None, cost: int
) -> None:
    acme = price(committed_world, fees=fees, **amounts)
    said: Json = dict(IMAGES)
    if usage is not None:
        said["usage"] = {"input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage)}
    body = {"model": "small", "prompt": "A cat", "n": 2}
    got, row, _ = asyncio.run(ask(acme, whole(said), converse(acme.api_key, body, path="/v1/images/generations")))
    assert got.status == 200
    assert (row["effective_cost"], row["is_overrun"]) == (cost, False)
    assert row["held"] >= cost


def test_speech_is_billed_by_its_characters_and_comes_as_sound(committed_world: World) -> None:
    acme = price(committed_world, fees={"million_characters": "15"})
    body = {"model": "small", "input": "Grüße", "voice": "alloy"}
    got, row, _ = asyncio.run(
        ask(acme, whole(b"ID3sound", 200, "audio/mpeg"), converse(acme.api_key, body, path="/v1/audio/speech"))
    )
    assert (got.body, got.headers["content-type"]) == (b"ID3sound", "audio/mpeg")
    assert (row["effective_cost"], row["usage"], row["is_estimated"]) == (75_000, {"characters": 5}, False)
    # As the upstream's bill has it: sound names no model.
    assert row["response_model"] == "theirs"


@pytest.mark.parametrize(
    ("path", "asked", "answer", "cost"),
    [
        ("speech", {"input": "Grüße", "voice": "alloy"}, whole(b"ID3sound", 200, "audio/mpeg"), 75_000),
        ("images", {"prompt": "A cat", "n": 2}, whole(IMAGES), 80_000_000),
    ],
)
def test_what_answers_without_a_model_is_billed_under_the_one_that_was_asked(
    committed_world: World, path: str, asked: Json, answer: list[bytes], cost: int
) -> None:
    """Through the proxy and the ledger, as the bill has it."""
    acme = price(committed_world, fees={"million_characters": "15", "image": "0.04"})
    where = {"speech": "/v1/audio/speech", "images": "/v1/images/generations"}[path]
    asyncio.run(ask(acme, answer, converse(acme.api_key, {"model": "small", **asked}, path=where)))
    drain_ledger()
    with org_scope(acme.org.pk):
        today = clock.now().date()
        used = find_used(acme.owner, [today - timedelta(days=1), today])
    assert [(model, each.cost) for (_, model), each in used.items()] == [("theirs", cost)]


@pytest.mark.parametrize(
    ("said", "cost", "is_estimated"),
    [
        ({"text": "Hi", "usage": {"type": "duration", "seconds": 9}}, 900_000, False),
        ({"text": "Hi", "duration": 8.47}, 900_000, False),
        # nobody says how long it was: as long as a file of these bytes can be
        ({"text": "Hi"}, 10_000_000, True),
    ],
)
def test_what_is_heard_is_billed_by_its_seconds(
    committed_world: World, said: Json, cost: int, *, is_estimated: bool
) -> None:
    acme = price(committed_world, fees={"minute": "0.006"})
    got, row, (sent,) = asyncio.run(ask(acme, whole(said), send_form(acme, "/v1/audio/transcriptions", FORM)))
    assert json.loads(got.body) == said
    assert sent == FORM.replace(b"\r\n\r\nsmall\r\n", b"\r\n\r\ntheirs\r\n")
    assert (row["effective_cost"], row["is_estimated"]) == (cost, is_estimated)
    assert (row["endpoint"], row["held"]) == ("audio/transcriptions", 10_000_000)


def test_what_counts_only_what_has_no_price_is_billed_at_its_bound(committed_world: World) -> None:
    acme = price(committed_world, audio_input_per_million="6", input_per_million="6")
    got, row, _ = asyncio.run(
        ask(acme, whole({"text": "Hi", "duration": 8.47}), send_form(acme, "/v1/audio/transcriptions", FORM))
    )
    assert got.status == 200
    assert row["held"] > 0
    assert (row["effective_cost"], row["usage"], row["is_estimated"]) == (row["held"], {"seconds": 9}, True)
    assert row["attempts"][0]["doubts"] == ["unpriced_unit"]


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(
    "said", [{"error": {"message": "Slow down", "code": 429}}, [{"detail": "Slow down", "status": 429}]]
)
def test_a_refusal_in_the_clothes_of_sound_or_words_costs_nothing(committed_world: World, path: str, said: Any) -> None:
    acme = price(committed_world, fees={"million_characters": "15", "minute": "6"})
    asked = (
        converse(acme.api_key, {"model": "small", "input": "Hi", "voice": "alloy"}, path=path)
        if path.endswith("speech")
        else send_form(acme, path, with_field("response_format", "text"))
    )
    got, row, _ = asyncio.run(ask(acme, whole(said), asked))
    assert got.status == 429
    assert json.loads(got.body)["error"]["message"] == "Slow down"
    assert (row["effective_cost"], row["is_estimated"]) == (0, False)


@pytest.mark.parametrize("words", ["{music} Hi", "[music] Hi", '{"text": "a song in JSON"}', "Hi"])
def test_words_that_begin_like_json_are_words(committed_world: World, words: str) -> None:
    acme = price(committed_world, fees={"minute": "6"})
    asked = send_form(acme, "/v1/audio/transcriptions", with_field("response_format", "text"))
    got, _, _ = asyncio.run(ask(acme, whole(words.encode()), asked))
    assert (got.status, got.body) == (200, words.encode())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/images/generations", {"prompt": "A cat"}),
        ("/v1/audio/speech", {"input": "Hi", "voice": "alloy"}),
    ],
)
def test_without_a_price_for_a_piece_it_is_refused_in_words(committed_world: World, path: str, body: Json) -> None:
    acme = price(committed_world, input_per_million="1")
    got, row, sent = asyncio.run(ask(acme, whole({}), converse(acme.api_key, {"model": "small", **body}, path=path)))
    told = json.loads(got.body)["error"]
    assert (got.status, told["code"], sent, row["effective_cost"]) == (402, "feature_not_priced", [], 0)
    assert "has no price for a" in told["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/moderations", {"input": []}, "input"),
        ("/v1/moderations", {"input": 7}, "input"),
        ("/v1/images/generations", {"prompt": None}, "prompt"),
        ("/v1/images/generations", {"prompt": "A cat", "n": 0}, "n"),
        ("/v1/images/generations", {"prompt": "A cat", "n": 1.5}, "n"),
        ("/v1/images/generations", {"prompt": "A cat", "stream": "yes"}, "stream"),
        ("/v1/images/generations", {"prompt": "A cat", "N": 9}, "N"),
        ("/v1/audio/speech", {"input": ""}, "input"),
        ("/v1/audio/speech", {"input": "Hi", "stream_format": "wav"}, "stream_format"),
    ],
)
def test_a_field_that_is_wrong_is_named(committed_world: World, path: str, body: Json, param: str) -> None:
    acme = price(committed_world, fees={"image": "1", "million_characters": "1"})
    got, _, sent = asyncio.run(ask(acme, whole({}), converse(acme.api_key, {"model": "small", **body}, path=path)))
    assert (got.status, json.loads(got.body)["error"]["param"], sent) == (400, param, [])


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "invalid_form"),
        (b"{}", "invalid_form"),
        (FORM[:-9], "invalid_form"),
        (b"preamble\r\n" + FORM, "invalid_form"),
        (FORM.replace(b'name="model"', b"name=model"), "invalid_form"),
        (FORM.replace(b"--xyz\r\n", b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--xyz\r\n', 1), "model"),
        (FORM.replace(b'name="model"', b'name="Model"'), "Model"),
        (FORM.replace(b"R" * 5_000, b""), "file"),
        (FORM.replace(b"--xyz\r\n", b'--xyz\r\nContent-Disposition: form-data; name="stream"\r\n\r\nyes\r\n--xyz\r\n', 1), "stream"),
        (FORM.replace(b"--xyz\r\n", b'--xyz\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nlrc\r\n--xyz\r\n', 1), "response_format"),
    ],
)  # fmt: skip
def test_a_form_that_is_wrong_is_refused(committed_world: World, raw: bytes, what: str) -> None:
    acme = price(committed_world, fees={"minute": "1"})
    got, _, sent = asyncio.run(ask(acme, whole({}), send_form(acme, "/v1/audio/transcriptions", raw)))
    told = json.loads(got.body)["error"]
    assert (got.status, sent) == (400, [])
    assert what in {told["code"], told["param"]}


def test_json_is_no_form(committed_world: World) -> None:
    acme = price(committed_world, fees={"minute": "1"})
    got, _, _ = asyncio.run(ask(acme, whole({}), send_form(acme, "/v1/audio/transcriptions", FORM, "application/json")))
    assert (got.status, json.loads(got.body)["error"]["code"]) == (400, "unsupported_content_type")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/realtime"), ("POST", "/v1/realtime/sessions")])
def test_realtime_is_not_there_and_says_so(committed_world: World, method: str, path: str) -> None:
    acme = price(committed_world)
    (got,) = asyncio.run(serve_all(converse(acme.api_key, {}, path=path, method=method)))
    told = json.loads(got.body)["error"]
    assert (got.status, told["code"]) == (404, "realtime_not_served")


def test_models_tell_their_prices_and_sizes(committed_world: World) -> None:
    acme = price(committed_world, input_per_million="0.15", output_per_million="0.6", fees={"image": "0.04"})
    (got,) = asyncio.run(serve_all(converse(acme.api_key, path="/v1/models", method="GET")))
    (model,) = json.loads(got.body)["data"]
    assert (model["id"], model["object"], model["type"]) == ("small", "model", "model")
    assert (model["context_window"], model["max_output_tokens"]) == (128_000, 16_384)
    pricing = model["pricing"]
    assert (pricing["input_per_million"], pricing["output_per_million"], pricing["per_images"]) == (
        "0.15",
        "0.6",
        "0.04",
    )


def test_the_same_idempotency_key_gets_the_same_sound(committed_world: World) -> None:
    acme = price(committed_world, fees={"million_characters": "15"})
    upstream = RawUpstream(lambda _: whole(b"ID3sound", 200, "audio/mpeg"))
    try:
        send_to(acme, upstream.base_url)
        body = {"model": "small", "input": "Hi", "voice": "alloy"}
        asked = [converse(acme.api_key, body, path="/v1/audio/speech", idempotency_key="k") for _ in range(2)]
        for got in asyncio.run(serve_all(*asked)):
            assert (got.body, got.headers["content-type"]) == (b"ID3sound", "audio/mpeg")
    finally:
        upstream.close()
    assert [row["effective_cost"] for row in events_of(acme)] == [30_000, 0]
    assert len(upstream.bodies) == 1


def test_the_same_idempotency_key_gets_the_same_text_whatever_boundary_its_form_has(committed_world: World) -> None:
    acme = price(committed_world, fees={"minute": "0.006"})
    upstream = RawUpstream(lambda _: whole({"text": "Hi.", "usage": {"type": "duration", "seconds": 4}}))
    try:
        send_to(acme, upstream.base_url)
        asked = [
            send_form(
                acme, "/v1/audio/transcriptions", FORM.replace(b"xyz", name), f"multipart/form-data; boundary={text}"
            )
            for name, text in ((b"xyz", "xyz"), (b"0d1f", "0d1f"))
        ]
        for conversation in asked:
            conversation.scope["headers"].append((b"idempotency-key", b"k"))
        for got in asyncio.run(serve_all(*asked)):
            assert json.loads(got.body)["text"] == "Hi."
    finally:
        upstream.close()
    assert len(upstream.raw_bodies) == 1


def with_field(name: str, value: str) -> bytes:
    """The form with one more field."""
    field = f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    return field.encode() + FORM


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_words_that_do_not_say_how_long_they_took_are_billed_by_their_file(
    committed_world: World, form: str, path: str
) -> None:
    acme = price(committed_world, fees={"minute": "0.006"})
    said = b"1\n00:00:00,000 --> 00:00:08,470\nHi.\n"
    sent = send_form(acme, path, with_field("response_format", form))
    got, row, _ = asyncio.run(ask(acme, whole(said, 200, "text/plain"), sent))
    assert (got.status, got.body, got.headers["content-type"]) == (200, said, "text/plain; charset=utf-8")
    # As long as a file of these bytes can be: a hundred seconds.
    assert (row["effective_cost"], row["is_estimated"]) == (10_000_000, True)


PARTIAL: Final = {"type": "image_generation.partial_image", "b64_json": "AA", "partial_image_index": 0}


def drawn(output_tokens: int) -> Json:
    usage = {"input_tokens": 10, "output_tokens": output_tokens, "total_tokens": 10 + output_tokens}
    return {"type": "image_generation.completed", "b64_json": "AAAA", "usage": usage}


@pytest.mark.parametrize(
    ("fees", "amounts", "cost", "is_estimated"),
    [
        # By the piece: that tokens, which have no price here, cost nothing beside it is a guess.
        ({"image": "0.04"}, {}, 80_000_000, True),
        ({}, {"input_per_million": "5", "image_output_per_million": "40"}, 2 * 50_000 + 700 * 40_000, False),
    ],
)
def test_pictures_are_streamed_as_they_come_and_the_last_when_its_cost_is_known(
    committed_world: World, fees: Json, amounts: Json, cost: int, *, is_estimated: bool
) -> None:
    acme = price(committed_world, fees=fees, **amounts)
    body = {"model": "small", "prompt": "A cat", "n": 2, "stream": True, "partial_images": 1}
    told = stream(PARTIAL, drawn(300), drawn(400))
    got, row, (sent,) = asyncio.run(ask(acme, told, converse(acme.api_key, body, path="/v1/images/generations")))
    assert json.loads(sent)["stream"] is True
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
    assert read_events_of(got.body) == [PARTIAL, drawn(300), drawn(400)]
    assert f": x-costhub-cost: {format_usd(cost)}\n".encode() in got.body
    assert (row["effective_cost"], row["is_estimated"], row["is_stream"]) == (cost, is_estimated, True)


def test_speech_is_streamed(committed_world: World) -> None:
    acme = price(committed_world, fees={"million_characters": "15"})
    said = [{"type": "speech.audio.delta", "audio": "AA"}, {"type": "speech.audio.done", "usage": {}}]
    body = {"model": "small", "input": "Grüße", "voice": "alloy", "stream_format": "sse"}
    got, row, _ = asyncio.run(ask(acme, stream(*said), converse(acme.api_key, body, path="/v1/audio/speech")))
    assert (read_events_of(got.body), row["effective_cost"]) == (said, 75_000)


def test_what_is_heard_is_streamed(committed_world: World) -> None:
    acme = price(committed_world, fees={"minute": "0.006"})
    usage = {"type": "duration", "seconds": 9}
    heard = [
        {"type": "transcript.text.delta", "delta": "Hi"},
        {"type": "transcript.text.done", "text": "Hi", "usage": usage},
    ]
    sent = send_form(acme, "/v1/audio/transcriptions", with_field("stream", "true"))
    got, row, _ = asyncio.run(ask(acme, stream(*heard), sent))
    assert (read_events_of(got.body), row["effective_cost"]) == (heard, 900_000)


def test_a_stream_of_pictures_that_breaks_off_ends_in_an_error_and_is_paid_at_its_bound(committed_world: World) -> None:
    acme = price(committed_world, fees={"image": "0.04"})
    body = {"model": "small", "prompt": "A cat", "n": 2, "stream": True}
    told = stream(PARTIAL, is_broken=True)
    got, row, _ = asyncio.run(ask(acme, told, converse(acme.api_key, body, path="/v1/images/generations")))
    first, last = read_events_of(got.body)
    assert (first, last["type"], last["error"]["code"]) == (PARTIAL, "error", "upstream_broke_off")
    assert (row["effective_cost"], row["is_estimated"]) == (80_000_000, True)


def read_events_of(body: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
