"""Short questions in one call against each by itself, through the whole proxy: what it saves, and what it spoils.

python -m bench.packing --data DIR [--questions 160] [--model] [--most 8] [--task capitals]

Sentences of CLINC150 (``DIR/semantic_cache/clinc150``) are sorted by intent under one system prompt that lists the
intents: twelve of them, or with ``--task capitals`` it is asked for capitals, which a small model may know. Without
``--model`` the upstream is the bank of the tests, which always answers in the shape that is asked for: that measures
the money. With it SmolLM2 answers, as in the demo: that measures how often an answer cannot be used, and how often it
is another one than alone, at a temperature of 0. Of twelve a model so small sorts none rightly either way.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2

from bench.rollups import servers

INTENTS = 12
CALLERS = 32
LIMIT = 24
#: what a small model may know
CAPITALS = dict(
    pair.strip().split(":")
    for pair in """
    France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, Austria:Vienna, Greece:Athens,
    Poland:Warsaw, Hungary:Budapest, Norway:Oslo, Sweden:Stockholm, Denmark:Copenhagen, Finland:Helsinki,
    Ireland:Dublin, Russia:Moscow, Ukraine:Kyiv, Romania:Bucharest, Bulgaria:Sofia, Serbia:Belgrade,
    Croatia:Zagreb, Turkey:Ankara, Egypt:Cairo, Kenya:Nairobi, Ethiopia:Addis Ababa, Ghana:Accra,
    Nigeria:Abuja, Senegal:Dakar, Morocco:Rabat, Tunisia:Tunis, Uganda:Kampala, Japan:Tokyo, China:Beijing,
    South Korea:Seoul, Thailand:Bangkok, Vietnam:Hanoi, India:New Delhi, Pakistan:Islamabad, Nepal:Kathmandu,
    Iran:Tehran, Iraq:Baghdad, Canada:Ottawa, Mexico:Mexico City, Cuba:Havana, Peru:Lima, Chile:Santiago,
    Argentina:Buenos Aires, Colombia:Bogot, Venezuela:Caracas, Ecuador:Quito, Australia:Canberra,
    New Zealand:Wellington, Indonesia:Jakarta, the Philippines:Manila, the United Kingdom:London,
    the United States:Washington, Belgium:Brussels, the Netherlands:Amsterdam, the Czech Republic:Prague,
    Saudi Arabia:Riyadh
""".split(",")
)
ASKED = ("What is the capital of {}?", "Which city is the capital of {}?")
#: longer than what a pack adds: with a shorter one each would go alone
CAPITALS_PROMPT = """You answer questions about the world for a school's quiz. Each question is about one country and has
one right answer, which is the name of a city. Answer in one short sentence that names the city, and the country beside
it. Say nothing of other cities, of history or of how many people live there, and do not repeat the question. Write the
city's name as it is usual in English, without accents. Where a country has moved its capital, name the one of today.
Where somebody asks for a seat of government that is elsewhere, name the capital all the same. If you do not know, name
the largest city. Use no lists, no headings and no emphasis, and never ask back: nobody is there to answer."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.packing")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=160)
    parser.add_argument("--most", type=int, default=8)
    parser.add_argument("--task", choices=("intents", "capitals"), default="intents")
    parser.add_argument("--model", action="store_true")
    options = parser.parse_args(arguments)
    with servers(), tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_FILES_URL": (Path(folder) / "files").as_uri(),
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        _measure(Path(folder), options)
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> None:
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    from costhub.stack.model_server import MODEL, ModelServer  # noqa: PLC0415
    from proxy.models import LedgerEntry  # noqa: PLC0415
    from proxy.tasks import drain_ledger  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415
    from tenants.choices import RouteKind  # noqa: PLC0415
    from tests.bank import Bank  # noqa: PLC0415
    from tests.proxy.deployment import deploy  # noqa: PLC0415
    from tests.tenants.route_examples import make_route  # noqa: PLC0415
    from tests.world import make_budget, make_catalog, make_world  # noqa: PLC0415

    call_command("migrate", database="owner", verbosity=0)
    acme = make_world().acme
    if options.task == "capitals":
        rows = [(asked.format(land), city.lower()) for asked in ASKED for land, city in CAPITALS.items()]
        rows, prompt = rows[: options.questions], CAPITALS_PROMPT
    else:
        rows = _read(options.data, options.questions)
        prompt = _prompt(rows)
    is_right = _names if options.task == "capitals" else _sorts
    with ExitStack() as stack:
        if options.model:
            server = ModelServer(folder)
            server.start()
            stack.callback(server.stop)
            server.wait_ready()
            make_catalog(acme, base_url=server.url, upstream_model=MODEL, max_output_tokens=1_000)
        else:
            bank = Bank.start(folder, fsync=False)
            stack.callback(bank.stop)
            make_catalog(acme, base_url=bank.base_url, max_output_tokens=1_000)
        make_route(acme, RouteKind.FIXED, ("small",), pack_window_ms=200, pack_most=options.most)
        make_budget(acme, "1000.00")
        connections.close_all()
        with deploy(folder) as proxy:
            answers = {}
            for name in ("small", "smart"):
                began = time.perf_counter()
                answers[name] = asyncio.run(_ask_all(proxy.base_url, acme.api_key, name, rows, prompt))
                print(f"{name}: {len(rows)} questions in {time.perf_counter() - began:.1f} s", flush=True)
        drain_ledger()
    with org_scope(acme.org_id):
        ledger = list(LedgerEntry.objects.filter(org_id=acme.org_id))
    alone = [row for row in ledger if row.request_model == "small"]
    together = [row for row in ledger if row.request_model == "smart"]
    packed = [row for row in together if any(attempt.get("packed") for attempt in row.attempts)]
    again = [row for row in packed if len(row.attempts) > 1]
    cost, paid = sum(row.effective_cost for row in alone), sum(row.effective_cost for row in together)
    reckoned = sum(row.savings.get("batch", 0) for row in together)
    print(f"each alone {cost:,} nano-USD, together {paid:,}: {1 - paid / cost:.1%} saved")
    print(f"the ledger reckons {reckoned:,} saved ({reckoned / (paid + reckoned):.1%})")
    print(f"{len(packed)} of {len(together)} were asked together; {len(again)} of them again alone")
    outcomes = [
        (is_right(by_itself, wanted), is_right(in_a_pack, wanted))
        for by_itself, in_a_pack, (_, wanted) in zip(answers["small"], answers["smart"], rows, strict=True)
    ]
    spoilt, mended = outcomes.count((True, False)), outcomes.count((False, True))
    print(f"right alone and wrong together {spoilt}, the other way {mended}")
    same = sum(one == other for one, other in zip(answers["small"], answers["smart"], strict=True))
    for name, said in answers.items():
        right = sum(is_right(text, wanted) for text, (_, wanted) in zip(said, rows, strict=True))
        print(f"{name}: right {right} of {len(rows)}")
    print(f"word for word the same answer: {same} of {len(rows)}")


def _read(data: Path, count: int) -> list[tuple[str, str]]:
    """Sentences with their intents, of the first so many intents, in turns: no pack is of one kind."""
    held = json.loads((data / "semantic_cache" / "clinc150" / "data_full.json").read_text())
    by_intent: dict[str, list[str]] = {}
    for text, intent in held["test"]:
        by_intent.setdefault(intent, []).append(text)
    chosen = sorted(by_intent)[:INTENTS]
    turns = zip(*([(text, intent) for text in by_intent[intent]] for intent in chosen), strict=False)
    return [pair for turn in turns for pair in turn][:count]


def _prompt(rows: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(sorted({intent for _, intent in rows}))
    return (
        "You sort what customers write to a desk that helps with many things. Each message belongs to exactly one of these intents: "
        f"{names}. Read the message, think of what its writer wants to have done or to know, and answer with the name of"
        " the intent alone: in small letters, with its underscores, without a full stop, and without any other word. Where"
        " two would do, take the one that says more. Never answer the message itself, and never ask back."
    )


def _sorts(text: str, intent: str) -> bool:
    return text.strip().strip(".\"'").lower() == intent


def _names(text: str, city: str) -> bool:
    return city in text.lower()


async def _ask_all(base_url: str, key: str, model: str, rows: Sequence[tuple[str, str]], system: str) -> list[str]:
    waiting = iter(enumerate(rows))
    answers = [""] * len(rows)
    async with httpx2.AsyncClient(trust_env=False, timeout=600, headers={"authorization": f"Bearer {key}"}) as http:

        async def call() -> None:
            for place, (text, _) in waiting:
                messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
                body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": LIMIT, "temperature": 0}
                got = await http.post(f"{base_url}/chat/completions", json=body)
                assert got.status_code == 200, got.text
                answers[place] = got.json()["choices"][0]["message"]["content"]

        await asyncio.gather(*(call() for _ in range(CALLERS)))
    return answers


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
