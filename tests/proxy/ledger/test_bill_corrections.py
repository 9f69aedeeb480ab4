"""Estimated rows and the upstream's own bill: the difference is posted, once, to the nano."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx2
import orjson
import pytest

from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.lib.net import Gate, gate_from_settings
from proxy.core.row import orphan_row
from proxy.ledger import bill_corrections, drain, recount
from proxy.models import LedgerEntry
from proxy.values.attempt import Attempt, Certainty, Usage
from tenants.access import org_scope
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import create_upstream, update_upstream
from tenants.choices import UpstreamKind
from tenants.models import Budget
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS
from tests.proxy.edges import job
from tests.proxy.edges.entries import find_scope, line_of, make_row, move_to, read_ledger, sum_ledger
from tests.proxy.edges.till import Till, next_shard
from tests.world import Catalog, Tenant, World, make_budget, make_catalog

BILL_PATH = "/costhub/bill"
INPUT, OUTPUT = Decimal("0.15"), Decimal("0.60")


@dataclass(frozen=True)
class Scene:
    """Acme on the bank, its ledger on a shard of its own."""

    acme: Tenant
    bank: Bank
    till: Till
    catalog: Catalog
    budget: Budget
    gate: Gate

    def begin(
        self, http: httpx2.Client, row: dict[str, Any], number: int | str = 1, **behaviour: Any
    ) -> AbstractContextManager[httpx2.Response]:
        """Begin one attempt of a call, as the proxy would make it."""
        return http.stream(
            "POST",
            f"{self.bank.base_url}/chat/completions",
            json={
                "model": "small",
                "messages": [{"role": "user", "content": "Where does the river run?"}],
                "stream": True,
                "bank": behaviour,
            },
            headers={"x-client-request-id": f"{row['id']}:{number}"},
        )

    def call_bank(self, row: dict[str, Any], number: int | str = 1, **behaviour: Any) -> int:
        """One attempt of a call, to its end. Gives what the bank billed, in nanos."""
        with (
            httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
            self.begin(http, row, number, **behaviour) as answer,
        ):
            answer.read()
        return self.billed(f"{row['id']}:{number}")

    def billed(self, client_id: str) -> int:
        """What the bank billed for one attempt, in nanos."""
        return sum(call.cost_nanos(INPUT, OUTPUT) for call in self.bank.bill() if call.request_id == client_id)

    def counter(self) -> tuple[int, int] | None:
        """(settled, held) of the organisation's budget."""
        return self.till.read(line_of(find_scope(self.acme, self.budget)))

    def reprice(self, effective_from: datetime | None = None) -> None:
        """Give the model a price a hundred times as high."""
        with org_scope(self.acme.org_id):
            create_price(
                actor=self.acme.owner,
                model=self.catalog.model,
                input_per_million=INPUT * 100,
                output_per_million=OUTPUT * 100,
                effective_from=effective_from,
            )

    def make_row(self, held: int = 0, **fields: Any) -> dict[str, Any]:
        """A row of Acme's on the bank, not settled yet."""
        about: dict[str, Any] = {
            "request_model": "small",
            "upstream_id": str(self.catalog.upstream.pk),
            "price_id": str(self.catalog.price.pk) if self.catalog.price else None,
            "held": held,
        }
        return make_row(self.acme, 0, **about) | fields

    def write(self, *rows: dict[str, Any]) -> None:
        """Bring rows into the ledger and count them."""
        for row in rows:
            self.till.add_event(orjson.dumps(row))
        drain.drain(self.till.shard)
        recount.recount(self.till.shard, "", ())

    def correct(self) -> int:
        """Ask for the truth. Gives the number of corrections, which are in the ledger then."""
        corrected = bill_corrections.correct_estimates(self.acme.org_id, self.gate)
        drain.drain(self.till.shard)
        return corrected

    def corrections(self) -> list[LedgerEntry]:
        return [row for row in read_ledger(self.acme) if row.kind == "correction"]


@pytest.fixture
def scene(committed_world: World, bank: Bank) -> Iterator[Scene]:
    acme, till = committed_world.acme, Till(next_shard())
    move_to(acme, till.shard)
    catalog = make_catalog(acme, base_url=bank.base_url, credential=None)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path=BILL_PATH)
    yield Scene(acme, bank, till, catalog, make_budget(acme, "10.00"), gate_from_settings())
    till.lose_everything()


@pytest.fixture
def httpd() -> Iterator[Callable[[bytes], str]]:
    """Start a server that answers every GET with the same JSON. Gives its base URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(body: bytes) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.02}).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def dead(row: dict[str, Any], amount: int, attempts: int = 1) -> dict[str, Any]:
    return orphan_row(row, amount, attempts)


class TestCorrected:
    def test_what_was_held_becomes_what_was_billed(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row, output_tokens=12)
        scene.write(dead(row, 50_000))
        assert scene.counter() == (50_000, 0)
        assert scene.correct() == 1
        (correction,) = scene.corrections()
        assert str(correction.corrects) == row["id"]
        assert correction.id == UUID(row["id"][:14] + "8" + row["id"][15:])
        assert correction.effective_cost == correction.list_cost == billed - 50_000
        assert (correction.output_tokens, correction.is_estimated, correction.is_overrun) == (12, False, False)
        assert sum_ledger(scene.acme) == billed > 0
        assert scene.counter() == (billed, 0)
        assert recount.find_drift(scene.till.shard) == []

    def test_an_attempt_is_billed_without_the_discount_of_another_one(self, scene: Scene) -> None:
        """The row's price and its discount are of the fallback that answered."""
        row = scene.make_row(adjustment_id=str(uuid4()))
        billed = scene.call_bank(row)
        own = {"upstream_id": row["upstream_id"], "price_id": row["price_id"]}
        attempt = Attempt(1, 503, Certainty.BOUND, Usage(), 50_000).to_row() | own
        scene.write(row | {"attempts": [attempt], "effective_cost": 50_000, "list_cost": 50_000, "is_estimated": True})
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed > 0

    @pytest.mark.parametrize(
        ("said", "picos"),
        [
            ({}, 150_000),
            ({"model": "small"}, 150_000),
            ({"service_tier": "priority"}, 300_000),
            ({"model": "large"}, 2_500_000),
            ({"model": "large", "service_tier": "flex"}, 2_500_000),
            ({"model": ["large"], "service_tier": 7}, 150_000),
        ],
    )
    def test_the_model_and_the_tier_that_the_bill_names_are_paid(
        self, scene: Scene, httpd: Callable[[bytes], str], said: dict[str, Any], picos: int
    ) -> None:
        """A thousand tokens in; ``large`` is another model of the catalog there, and has no price for flex."""
        body = {"status": "final", "usage": {"prompt_tokens": 1_000, "completion_tokens": 0, "total_tokens": 1_000}}
        with org_scope(scene.acme.org_id):
            update_upstream(
                actor=scene.acme.owner, upstream=scene.catalog.upstream, base_url=httpd(orjson.dumps(body | said))
            )
            large = create_model(
                actor=scene.acme.owner,
                name="our-large",
                upstream=scene.catalog.upstream,
                upstream_model="large",
                context_window=128_000,
                max_output_tokens=4_096,
            )
            create_price(
                actor=scene.acme.owner, model=large, input_per_million=Decimal("2.50"), output_per_million=Decimal(10)
            )
            small = create_price(
                actor=scene.acme.owner,
                model=scene.catalog.model,
                input_per_million=INPUT,
                output_per_million=OUTPUT,
                service_tiers={"priority": {"input_per_million": INPUT * 2, "output_per_million": OUTPUT * 2}},
            )
        row = scene.make_row(price_id=str(small.pk))
        own = {"upstream_id": row["upstream_id"], "price_id": row["price_id"], "model": "small"}
        attempt = Attempt(1, 200, Certainty.BOUND, Usage(), 50_000).to_row() | own
        scene.write(row | {"attempts": [attempt], "effective_cost": 50_000, "list_cost": 50_000, "is_estimated": True})
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == 1_000 * picos // 1_000

    def test_asked_again_it_is_corrected_once(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(dead(row, 50_000))
        bill_corrections.correct_estimates(scene.acme.org_id, scene.gate)
        bill_corrections.correct_estimates(scene.acme.org_id, scene.gate)
        assert len(scene.till.events()) == 1, "asked twice before the first correction has reached the ledger"
        drain.drain(scene.till.shard)
        assert scene.correct() == 0
        assert len(scene.corrections()) == 1
        assert (sum_ledger(scene.acme), scene.counter()) == (billed, (billed, 0))

    @pytest.mark.parametrize("failpoint", ["correct_asked", "correct_posted"])
    def test_killed_in_the_middle_the_next_one_makes_it_good(self, scene: Scene, failpoint: str) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(dead(row, 50_000))
        assert job.run("correct", scene.acme.org_id, failpoint=failpoint) == -9
        scene.correct()
        assert len(scene.corrections()) == 1
        assert (sum_ledger(scene.acme), scene.counter()) == (billed, (billed, 0))

    def test_a_dearer_truth_is_posted_in_full_and_marked(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row, output_tokens=50)
        scene.write(dead(row, 10))
        scene.correct()
        (correction,) = scene.corrections()
        assert (correction.effective_cost, correction.is_overrun) == (billed - 10, True)
        assert sum_ledger(scene.acme) == billed > 10

    def test_a_call_that_never_arrived_cost_nothing(self, scene: Scene) -> None:
        scene.write(dead(scene.make_row(), 50_000))
        assert scene.correct() == 1
        assert [row.effective_cost for row in scene.corrections()] == [-50_000]
        assert (sum_ledger(scene.acme), scene.counter()) == (0, (0, 0))

    def test_a_call_that_was_refused_cost_nothing(self, scene: Scene) -> None:
        row = scene.make_row()
        assert scene.call_bank(row, fault=["http_500"]) == 0
        scene.write(dead(row, 50_000))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == 0

    def test_cached_and_reasoning_tokens_are_told_apart(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row, output_tokens=9, reasoning_tokens=4, cached_tokens=3, input_tokens=50)
        scene.write(dead(row, 50_000))
        scene.correct()
        (correction,) = scene.corrections()
        (call,) = scene.bank.bill()
        assert (correction.input_tokens, correction.cache_read_input_tokens) == (50, 3)
        assert (correction.output_tokens, correction.reasoning_tokens) == (call.output_tokens, 4)
        assert sum_ledger(scene.acme) == billed


class TestAttempts:
    def test_the_bills_of_two_attempts_are_added(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row, 1, output_tokens=7) + scene.call_bank(row, 2, output_tokens=20)
        scene.write(dead(row, 50_000, attempts=2))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed

    @pytest.mark.parametrize("refused", [[1], [1, 2]])
    def test_an_attempt_on_the_money_of_a_refused_one_is_asked_for(self, scene: Scene, refused: list[int]) -> None:
        """A try that the upstream refused costs nothing, so the next one spends the same hold, which counts one."""
        row = scene.make_row()
        for number in refused:
            assert scene.call_bank(row, number, fault=["rate_limited"]) == 0
        billed = scene.call_bank(row, len(refused) + 1, output_tokens=20)
        scene.write(dead(row, 50_000, attempts=1))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed > 0

    def test_what_is_known_of_one_attempt_is_kept(self, scene: Scene) -> None:
        row = scene.make_row()
        unknown = scene.call_bank(row, 1, output_tokens=7)
        attempts = [
            Attempt(1, 0, Certainty.BOUND, Usage(), 900),
            Attempt(2, 200, Certainty.EXACT, Usage(input=100, output=10), 21),
            Attempt(3, 429, Certainty.NOTHING, Usage(), 0),
        ]
        row |= {"attempts": [one.to_row() for one in attempts], "is_estimated": True, "held": 2_000}
        row |= {"effective_cost": 921, "list_cost": 921, "input_tokens": 100, "output_tokens": 10}
        scene.write(row)
        assert scene.correct() == 1
        (correction,) = scene.corrections()
        assert correction.effective_cost == unknown - 900
        assert correction.output_tokens == 7
        assert sum_ledger(scene.acme) == unknown + 21

    def test_further_tries_of_calls_that_were_asked_as_one_are_asked_for_too(self, scene: Scene) -> None:
        """Its worker died with the first of them: the upstream knows the second try by a name of its own."""
        row = scene.make_row()
        billed = scene.call_bank(row, "1.2")
        scene.write(dead(row, 50_000))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed > 0


class TestPrice:
    def test_a_new_price_does_not_touch_a_call_of_the_old_one(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(dead(row, 50_000))
        scene.reprice()
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed

    def test_nor_does_one_that_is_typed_for_the_past(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(dead(row, 50_000))
        scene.reprice(effective_from=clock.now() - timedelta(days=400))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed

    def test_a_model_that_is_gone_still_has_its_truth(self, scene: Scene) -> None:
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(dead(row, 50_000))
        with org_scope(scene.acme.org_id):
            update_model(actor=scene.acme.owner, model=scene.catalog.model, is_active=False)
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed

    def test_without_a_price_nothing_is_guessed(self, scene: Scene) -> None:
        row = scene.make_row(price_id=None)
        scene.call_bank(row)
        scene.write(dead(row, 50_000))
        assert scene.correct() == 0
        assert sum_ledger(scene.acme) == 50_000


class TestNotKnownYet:
    def test_an_open_bill_is_left_alone_until_it_is_final(self, scene: Scene) -> None:
        row = scene.make_row()
        with (
            httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
            scene.begin(http, row, fault=["stall"], at=3) as answer,
        ):
            parts = answer.iter_raw()
            assert next(parts).startswith(b"data:")
            scene.write(dead(row, 50_000))
            assert scene.correct() == 0
            assert sum_ledger(scene.acme) == 50_000
        scene.bank.wait_quiet()
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == scene.billed(f"{row['id']}:1") > 0

    def test_a_bank_that_is_away_is_asked_later(self, scene: Scene) -> None:
        rows = [scene.make_row() for _ in range(3)]
        billed = sum(scene.call_bank(row) for row in rows)
        scene.write(*(dead(row, 50_000) for row in rows))
        with scene.bank.refusing():
            assert scene.correct() == 0
        assert scene.correct() == 3
        assert sum_ledger(scene.acme) == billed

    @pytest.mark.parametrize(
        "usage",
        [
            {},
            {"prompt_tokens": "seven"},
            {"prompt_tokens": None, "completion_tokens": 5},
            {"prompt_tokens": 0, "completion_tokens": 5},
            {"prompt_tokens": -1, "completion_tokens": 0},
        ],
    )
    def test_a_bill_that_makes_no_sense_is_not_taken_for_nothing(
        self, scene: Scene, usage: dict[str, Any], httpd: Callable[[bytes], str]
    ) -> None:
        url = httpd(orjson.dumps({"status": "final", "usage": usage}))
        with org_scope(scene.acme.org_id):
            update_upstream(actor=scene.acme.owner, upstream=scene.catalog.upstream, base_url=url, credential=None)
        scene.write(dead(scene.make_row(), 50_000))
        assert scene.correct() == 0
        assert sum_ledger(scene.acme) == 50_000

    def test_rows_that_stay_unknown_hold_up_no_others(self, scene: Scene) -> None:
        """More of them than one batch, from an upstream that gives no bills, before the one row that has one."""
        with org_scope(scene.acme.org_id):
            silent = create_upstream(
                actor=scene.acme.owner,
                name="silent",
                kind=UpstreamKind.OPENAI_COMPATIBLE,
                base_url=scene.bank.base_url,
                credential=None,
            )
        unpriced = [dead(scene.make_row(price_id=None), 1) for _ in range(bill_corrections._BATCH + 1)]
        counted = [
            scene.make_row(upstream_id=str(silent.pk), is_estimated=True, effective_cost=1)
            for _ in range(bill_corrections._BATCH + 1)
        ]
        row = scene.make_row()
        billed = scene.call_bank(row)
        scene.write(*unpriced, *counted, dead(row, 50_000))
        assert scene.correct() == 1
        assert sum_ledger(scene.acme) == billed + 2 * (bill_corrections._BATCH + 1)

    def test_exact_rows_are_never_asked_for(self, scene: Scene) -> None:
        row = scene.make_row(effective_cost=50_000)
        scene.call_bank(row)
        scene.write(row)
        assert scene.correct() == 0
        assert not any(request.target.startswith(f"/v1{BILL_PATH}") for request in scene.bank.requests())

    def test_after_a_day_nobody_asks_any_more(self, scene: Scene) -> None:
        old = clock.now() - bill_corrections.ASK_FOR - timedelta(seconds=5)
        row = scene.make_row(started_at_ms=to_ms(old))
        scene.call_bank(row)
        scene.write(dead(row, 50_000))
        assert scene.correct() == 0
