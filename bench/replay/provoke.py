"""Makes happen what a replay does not bring along, so that every kind of alert has been mailed once; what would take
Stripe, a provider's bill, labels or a month is reported with the tests' facts, as the jobs that find it report it.

It runs after the checks: an overrun and a tampered counter are what they are there to find.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx2
from django.db import transaction

from bench.alerts import manage
from bench.replay.stack import wait_still
from bench.replay.world import World
from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import KINDS, Fact
from billing.choices import AlertKind
from billing.tasks import watch_calls, watch_drift, watch_standing
from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.tasks import rebuild_counters
from tenants.access import org_scope
from tenants.models import Organization
from tests.bank import Bank
from tests.billing.alerts.examples import FACTS

#: an upstream is judged by ten calls
FAILING_CALLS: Final = 12
OVERRUN_TOKENS: Final = 5_000
EXPIRES: Final = timedelta(days=2)
TAMPERED: Final = 1_234_567
TRIES: Final = 5
#: the kinds that a replay brings along, or that really happen here
HAPPEN: Final = frozenset(
    {
        AlertKind.BUDGET,
        AlertKind.FORECAST,
        AlertKind.ANOMALY,
        AlertKind.UNPRICED,
        AlertKind.OVERRUN,
        AlertKind.UPSTREAM,
        AlertKind.DRIFT,
        AlertKind.KEY_EXPIRING,
        AlertKind.CHANNEL_OFF,
    }
)


def provoke(http: httpx2.Client, world: World, org: Organization, bank: Bank) -> None:
    """An overrun, a failing upstream, a key that will expire, a receiver that is gone, a counter that is wrong and
    right again; and whatever else there are alerts of."""
    stack = world.stack
    call = {"model": "small", "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {world.secrets['batch-nightly']}"}
    url = f"{stack['base_url']}/chat/completions"
    http.post(url, json=call | {"bank": {"fault": "overrun", "by": OVERRUN_TOKENS}}, headers=headers)
    for body in (
        ("upstreams", {"name": "spare", "kind": "openai_compatible", "base_url": bank.base_url, "max_retries": 0}),
        ("models", {"name": "spare", "upstream": "spare", "max_output_tokens": 64}),
        ("prices", {"model": "spare", "input_per_million": "1", "output_per_million": "1"}),
    ):
        manage(http, stack, *body)
    for _ in range(FAILING_CALLS):
        failing = {"model": "spare", "bank": {"fault": "http_error", "status": 500}}
        http.post(url, json=call | failing, headers=headers)
    expires = (clock.now() + EXPIRES).isoformat()
    manage(http, stack, "keys", {"name": "visitor", "project": "search", "expires_at": expires})
    wait_still(org)
    with _gone() as receiver:
        channel = {"name": "Old receiver", "kind": "webhook", "url": receiver, "kinds": ["key_expiring"]}
        manage(http, stack, "channels", channel)
        watch_standing()
        watch_calls()
        wait_still(org)
    month = next(cap.id for cap in world.caps if cap.period == "month")
    [counter] = client().scan_iter(match=f"{keyspace.tag(org.shard)}:budget:{month}.*:{org.pk}", count=5_000)
    for _ in range(TRIES):
        client().hincrby(counter, "s", TAMPERED)
        # The stack's own recount may have been sooner.
        if watch_drift():
            break
    rebuild_counters()
    watch_drift()
    watch_standing()
    report_others(org)
    wait_still(org)


def report_others(org: Organization) -> None:
    """An alert of each kind that nothing here makes happen."""
    now = clock.now()
    with org_scope(org.pk), transaction.atomic():
        for kind in sorted(frozenset(AlertKind) - HAPPEN):
            traits, (details, _) = KINDS[kind], FACTS[kind]
            window = None if traits.is_episode else now
            fact = Fact(kind, "example", max(traits.thresholds), details, window_start=window)
            report(org, kind, [fact], now=now, is_complete=False)


@contextmanager
def _gone() -> Iterator[str]:
    """The address of a receiver of webhooks that answers 410: it wants nothing any more."""

    class Gone(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            self.send_response(410)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        server.server_close()
