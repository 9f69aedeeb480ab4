"""What the doctor finds out about workers, prices and counters, on real PostgreSQL and Valkey."""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from costhub.lib import clock, keyspace
from costhub.lib.redis import client, connect
from costhub.ops import doctor
from costhub.ops.doctor import (
    Check,
    Subject,
    check_address,
    check_broker,
    check_counters,
    check_mail,
    check_prices,
    check_valkey,
    check_worker,
    find_unpriced_models,
)
from costhub.stack.ports import find_free_port
from costhub.stack.services import BatchWorker, SlowWorker, Worker
from costhub.stack.valkey import Valkey
from proxy.ledger import drain, recount
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.pricing import create_price
from tenants.models import LanguageModel
from tests.mail import run_mail_sink
from tests.proxy.edges.entries import find_scope, make_event, move_to
from tests.proxy.edges.till import Till, next_shard
from tests.stack.conftest import ROOT
from tests.stack.test_services import running
from tests.world import Tenant, World, make_budget, make_catalog

SUBJECT = Subject(Path(), {})
ONE = Decimal(1)
NOBODY_QUICK = (
    "nobody takes from the queue celery: the ledger is not drained and nobody is alerted; see logs/worker.log, or start a "
    "Celery worker with --queues celery"
)
NOBODY_SLOW = (
    "nobody takes from the queue slow: sums, forecasts, corrections and recounts stand still; see logs/slow-worker.log, or "
    "start a Celery worker with --queues slow"
)
NOBODY_BATCHES = (
    "nobody takes from the queue batches: batches stand still; see logs/batch-worker.log, or start a Celery worker with "
    "--queues batches"
)


def test_each_queue_that_nobody_takes_from_is_named(tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "REDIS_URL": settings.REDIS_URL}
    quick, slow, batches = (
        kind(tmp_path, environment, app="tests.stack.small_celery") for kind in (Worker, SlowWorker, BatchWorker)
    )
    nobody = f"{NOBODY_QUICK}. {NOBODY_SLOW}. {NOBODY_BATCHES}"
    assert check_worker(SUBJECT) == Check("Worker", ok=False, sentence=nobody)
    with running(slow), running(batches):
        assert check_worker(SUBJECT) == Check("Worker", ok=False, sentence=NOBODY_QUICK)
        with running(quick):
            assert check_worker(SUBJECT) == Check("Worker", ok=True, sentence="every queue has one that answers")
            slow.stop()
            assert check_worker(SUBJECT) == Check("Worker", ok=False, sentence=NOBODY_SLOW)


class TestStores:
    @pytest.fixture
    def broker(self, tmp_path: Path, settings: Settings) -> Iterator[Valkey]:
        """A Valkey of the queue's own, as the stack would start it."""
        found = Valkey(tmp_path)
        found.start()
        found.wait_ready()
        settings.BROKER_URL = found.url
        yield found
        found.stop()

    def test_a_queue_in_valkey_is_no_server_more(self, settings: Settings) -> None:
        settings.BROKER_URL = settings.REDIS_URL
        assert check_broker(SUBJECT) == Check("Broker", ok=True, sentence="the queue is in Valkey, with all else")

    def test_a_queues_own_server_must_keep_what_is_queued(self, broker: Valkey) -> None:
        found = check_broker(SUBJECT)
        assert (found.name, found.ok) == ("Broker", True)
        assert found.sentence.endswith("answers, append-only file on, nothing evicted")
        with connect(broker.url) as store:
            store.config_set("maxmemory-policy", "allkeys-lru")
        assert check_broker(SUBJECT) == Check(
            "Broker",
            ok=False,
            sentence="maxmemory-policy is 'allkeys-lru', not 'noeviction': memory pressure would drop what is queued",
        )

    def test_one_that_forgets_at_a_restart_is_told_and_so_is_one_that_is_away(
        self, broker: Valkey, settings: Settings
    ) -> None:
        with connect(broker.url) as store:
            store.config_set("appendonly", "no")
        settings.REDIS_URL = broker.url
        assert check_valkey(SUBJECT).sentence == "appendonly is 'no', not 'yes': a restart would lose counters"
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        broker.stop()
        found = check_broker(SUBJECT)
        assert (found.name, found.ok) == ("Broker", False)
        assert found.sentence.startswith("does not answer: ")


class TestPrices:
    @pytest.fixture(autouse=True)
    def _only_acme(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tests before this one may have left organisations behind."""
        ours = [world.acme.org.pk, world.mallcorp.org.pk]
        monkeypatch.setattr(doctor, "list_org_ids", lambda: ours)

    def test_every_model_has_one(self, world: World) -> None:
        make_catalog(world.acme)
        assert check_prices(SUBJECT) == Check("Prices", ok=True, sentence="every active model has one")

    def test_a_model_without_one_is_named_with_its_organisation(self, world: World) -> None:
        make_catalog(world.acme)
        make_catalog(world.mallcorp, model="free", input_per_million=None)
        make_catalog(world.acme, model="later", effective_from=clock.now().replace(year=2190))
        assert check_prices(SUBJECT) == Check(
            "Prices",
            ok=True,
            is_warning=True,
            sentence="no price now for acme/later, mallcorp/free: calls to them are refused until their organisation gives "
            "them a price or has a fallback price",
        )

    def test_of_many_a_few_are_named_and_all_counted(self, world: World) -> None:
        for number in range(7):
            make_catalog(world.acme, model=f"m{number}", input_per_million=None)
        assert "acme/m0, acme/m1, acme/m2, acme/m3, acme/m4 and 2 more:" in check_prices(SUBJECT).sentence

    def test_a_fallback_price_or_retirement_ends_it(self, world: World) -> None:
        for tenant in (world.acme, world.mallcorp):
            make_catalog(tenant, input_per_million=None)
        assert find_unpriced_models() == ["acme/small", "mallcorp/small"]
        with org_scope(world.acme.org.pk):
            create_price(actor=world.acme.owner, model=None, input_per_million=ONE, output_per_million=ONE)
        with org_scope(world.mallcorp.org.pk):
            model = LanguageModel.objects.get(org=world.mallcorp.org)
            update_model(actor=world.mallcorp.owner, model=model, is_active=False)
        assert find_unpriced_models() == []


class TestCounters:
    @pytest.fixture
    def till(self, committed_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
        """Acme's shard, which is the only one that the doctor looks at: tests before may have left a mess in others."""
        till = Till(next_shard())
        move_to(committed_world.acme, till.shard)
        monkeypatch.setattr(doctor, "list_shards", lambda: [till.shard])
        yield till
        till.lose_everything()

    def test_they_agree(self, committed_world: World, till: Till) -> None:
        spend(till, committed_world.acme, 400)
        assert check_counters(SUBJECT) == Check("Counters", ok=True, sentence="agree with the ledger")

    def test_one_that_does_not_is_told_with_both_amounts_until_it_is_counted_again(
        self, committed_world: World, till: Till
    ) -> None:
        counter = spend(till, committed_world.acme, 400)
        client().hincrby(counter, "s", 17)
        assert check_counters(SUBJECT) == Check(
            "Counters",
            ok=False,
            sentence=f"not what the ledger says: {counter} has 0.000000417 for 0.000000400: the worker's recount sets them "
            "right",
        )
        recount.recount(till.shard, "", ())
        assert check_counters(SUBJECT).ok

    def test_a_ledger_far_behind_is_told_as_that(
        self, committed_world: World, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drain, "MAX_UNREAD", 1)
        for _ in range(2):
            till.add_event(make_event(committed_world.acme, 1))
        assert check_counters(SUBJECT) == Check(
            "Counters",
            ok=False,
            sentence="cannot be compared with the ledger: its drain is too far behind",
        )


def spend(till: Till, tenant: Tenant, cost: int) -> str:
    """A call that is in the ledger and counted. Gives the name of its counter."""
    counter = find_scope(tenant, make_budget(tenant, "1.00")).counter
    assert counter.startswith(keyspace.tag(till.shard))
    till.add_event(make_event(tenant, cost))
    drain.drain(till.shard)
    recount.recount(till.shard, "", ())
    return counter


class TestMailAndLinks:
    @pytest.mark.parametrize(
        ("url", "is_production", "expected"),
        [
            ("", False, (True, True, "COSTHUB_PUBLIC_URL is not set: mails link to this machine")),
            ("http://127.0.0.1:8000", False, (True, False, "people find the console at http://127.0.0.1:8000")),
            (
                "https://costhub.example.org",
                True,
                (True, False, "people find the console at https://costhub.example.org"),
            ),
            (
                "http://127.0.0.1:8000",
                True,
                (
                    False,
                    False,
                    "COSTHUB_PUBLIC_URL is http://127.0.0.1:8000, where nobody but this machine finds the console: mails "
                    "link to it",
                ),
            ),
            (
                "https://localhost",
                True,
                (
                    False,
                    False,
                    "COSTHUB_PUBLIC_URL is https://localhost, where nobody but this machine finds the console: mails link "
                    "to it",
                ),
            ),
            (
                "http://costhub.example.org",
                True,
                (
                    True,
                    True,
                    "COSTHUB_PUBLIC_URL is http://costhub.example.org: without https passwords and keys can be read on the "
                    "way",
                ),
            ),
        ],
    )
    def test_the_address_is_one_that_people_can_open(
        self, settings: Settings, url: str, is_production: bool, expected: tuple[bool, bool, str]
    ) -> None:
        settings.PUBLIC_URL, settings.PRODUCTION = url, is_production
        found = check_address(SUBJECT)
        assert (found.ok, found.is_warning, found.sentence) == expected

    def test_a_folder_of_mails_is_a_warning_in_production(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "django.core.mail.backends.filebased.EmailBackend", "/mail"
        told = "mails are written to /mail: set COSTHUB_SMTP_URL to have them sent"
        assert check_mail(SUBJECT) == Check("Mail", ok=True, sentence=told)
        settings.PRODUCTION = True
        assert check_mail(SUBJECT) == Check("Mail", ok=True, is_warning=True, sentence=told)

    def test_the_mail_server_is_asked(self, settings: Settings) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        with run_mail_sink() as sink:
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
            assert check_mail(SUBJECT) == Check("Mail", ok=True, sentence=f"127.0.0.1:{sink.port} answers")
        settings.EMAIL_PORT = find_free_port()
        found = check_mail(SUBJECT)
        assert (found.ok, found.is_warning) == (False, False)
        assert found.sentence.startswith(f"127.0.0.1:{settings.EMAIL_PORT} takes no mail: [Errno 111]")
