"""Secrets go in by every door there is; then everything that the product writes is searched for them.

The proxy runs as it is deployed, logging all that there is to log, with the operator's secrets in its environment;
the management API, the pages and the jobs run in this process. Of PostgreSQL the files are read, tables, write-ahead
log and server log alike; of Valkey the append-only file, and every value.
"""

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core import mail
from pytest_django.fixtures import Settings

from billing.tasks import send_messages
from costhub.lib.money import Nanos
from costhub.lib.redis import client
from proxy.learning.replays import start_paid_replay
from proxy.learning.tasks import forget_uncovered, store_captured
from proxy.tasks import correct_estimates, drain_ledger, reap_reservations, rebuild_counters
from tenants.access import org_scope
from tenants.actions.cache import create_cache_policy
from tenants.actions.orgs import update_organization
from tenants.actions.platform import create_platform_token
from tenants.choices import CacheMode
from tests.bank import Bank
from tests.hooks import run_receiver
from tests.patience import PATIENCE_SECONDS
from tests.plugin import STACK
from tests.proxy.cache.rows import read_entries
from tests.proxy.collector import collect
from tests.proxy.deployment import NO_TLS, deploy
from tests.proxy.learning.rows import capture, consent
from tests.proxy.learning.s3 import run_s3
from tests.security.sinks import Canaries, dump_valkey, keep_logs
from tests.world import Api, World, make_catalog, make_client

LEAST = 40
#: what is told back to who sent it, and to nobody else
ECHOED = {"not found": {"secret in a path"}, "second factor": {"code"}}


class Evidence:
    """What was put in, and what came out."""

    def __init__(self) -> None:
        self.canaries = Canaries()
        self.answers: list[tuple[str, bytes]] = []

    def note(self, what: str, answer: Any) -> Any:
        """Keep an answer: its headers and its body."""
        headers = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append((what, headers.encode() + b"\n" + answer.content))
        return answer

    def leaks(self, **sinks: bytes) -> dict[str, set[str]]:
        """What each sink holds."""
        found = {name: self.canaries.find(data) for name, data in sinks.items()}
        return {name: names for name, names in found.items() if names}


def test_no_sink_holds_a_secret(
    committed_world: World,
    loopback: None,
    bank: Bank,
    tmp_path: Path,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> None:
    evidence = Evidence()
    put = evidence.canaries.put
    operators = {
        "COSTHUB_SMTP_URL": f"smtp://mailer:{put('SMTP password')}@127.0.0.1:9",
        "AWS_SECRET_ACCESS_KEY": put("S3 secret key"),
        "AWS_ACCESS_KEY_ID": put("S3 access key"),
        "STRIPE_API_KEY": f"sk_test_{put('Stripe key')}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{put('Stripe webhook secret')}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={put('key of the collector')}",
    }
    settings.STRIPE_API_KEY, settings.EMAIL_HOST_PASSWORD = operators["STRIPE_API_KEY"], "unused here"
    with (
        keep_logs() as logs,
        collect() as collector,
        run_receiver() as receiver,
        run_s3() as s3,
        deploy(
            tmp_path,
            workers=1,
            port=None,
            app="costhub.asgi:application",
            COSTHUB_LOG_LEVEL="DEBUG",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            COSTHUB_FILES_URL=s3.url("files"),
            **s3.environment | operators,
        ) as proxy,
    ):
        manage(committed_world, evidence, bank, receiver.url)
        sign_in(committed_world, evidence)
        calls = make_calls(committed_world, evidence, bank, proxy.root_url)
        upload(committed_world, evidence, proxy.root_url)
        run_jobs(committed_world, evidence)
        bank.wait_quiet()
        spans = collector.wait_for(1)
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            metrics = http.get(f"{proxy.root_url}/metrics").content
            evidence.note("pages", http.get(f"{proxy.root_url}/login"))
        stored = s3.read_everything()
        received = b"\n".join(str((call.path, call.headers)).encode() + call.body for call in receiver.calls)
    assert calls >= 8
    assert receiver.calls, "the webhook was called"
    assert len(evidence.canaries.known) >= LEAST
    mails = "\n".join(str(each.message()) for each in mail.outbox).encode()
    leaks = evidence.leaks(
        logs="\n".join(logs.lines).encode(),
        proxy=proxy.log.read_bytes(),
        valkey=dump_valkey(client()),
        traces="\n".join(str(span.attributes | span.resource) for span in spans).encode(),
        metrics=metrics,
        files=stored,
        webhooks=received,
        mails=mails,
    )
    assert b".sealed\n" in stored, "what was uploaded lies there"
    assert any(each.question for each in read_entries(committed_world.acme)), "and what was asked of the semantic cache"
    # The invited read their invitation, and nobody else does.
    assert leaks.pop("mails") == {"invitation"}
    assert leaks == {}
    shown = {what: names for what, data in evidence.answers if (names := evidence.canaries.find(data))}
    assert shown == ECHOED
    stack = request.config.stash.get(STACK, None)
    if stack is not None:
        entry = stack.postgres.superuser_environment
        with psycopg.connect(
            host=entry["PGHOST"],
            port=entry["PGPORT"],
            user=entry["PGUSER"],
            password=entry["PGPASSWORD"],
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute("CHECKPOINT")
        files = evidence.canaries.find_in_files(stack.data_dir) | evidence.canaries.find_in_files(stack.postgres.home)
        assert files == {}


def manage(world: World, evidence: Evidence, bank: Bank, hook: str) -> None:
    """The management API: every secret that it takes, every secret that it gives, and mistakes with both."""
    put, note, ada = evidence.canaries.put, evidence.note, Api(token=world.acme.admin_token)
    for name, secret in (("first key", world.acme.api_key), ("first token", world.acme.admin_token)):
        put(name, secret)
    catalog = make_catalog(world.acme, base_url=bank.base_url, credential=f"sk-{put('credential')}")
    capture(world.acme, put("question of a captured call"), put("answer to it"))
    with org_scope(world.acme.org.pk):
        # What is kept to be asked for again is sealed; of a call that the cache answers it knows a digest, and of its
        # question a vector.
        update_organization(actor=world.acme.owner, answers_kept_hours=24)
        create_cache_policy(actor=world.acme.owner, mode=CacheMode.ON, semantic=CacheMode.SHADOW)
        # What trains calls by a key of the organisation's, which is kept for as long.
        start_paid_replay(
            actor=world.acme.owner, model="small", to="small", cap_nanos=Nanos(10**9), api_key=world.acme.api_key
        )
    path = f"/upstreams/{catalog.upstream.pk}"
    note("credential", ada.patch(path, {"credential": f"sk-{put('changed credential')}"}))
    note("credential of a form", ada.patch(path, {"credential": {"a": put("credential of a wrong type")}}))
    note("upstreams", ada.get(path))
    note("test of an upstream", ada.post(f"{path}/test"))
    note(
        "endpoint",
        ada.post(
            "/upstream-endpoints",
            {
                "upstream": str(catalog.upstream.pk),
                "base_url": "https://1.1.1.1/v1",
                "credential": put("credential of an endpoint"),
                "lease_seconds": 60,
            },
        ),
    )
    made = ada.post("/channels", {"kind": "webhook", "name": "hook", "url": hook})
    assert made.status_code == 201, made.content
    put("webhook secret", made.json()["secret"])
    channel = made.json()["id"]
    put("rotated webhook secret", ada.post(f"/channels/{channel}/rotate-secret").json()["secret"])
    note("test of a channel", ada.post(f"/channels/{channel}/test"))
    slack = f"{hook}/{put('path of Slack')}"
    note("slack", ada.post("/channels", {"kind": "slack", "name": "slack", "url": slack}))
    note("channels", ada.get("/channels"))
    note(
        "single sign-on",
        ada.post(
            "/sign-ons",
            {
                "name": "directory",
                "kind": "oidc",
                "role": "viewer",
                "issuer": "https://1.1.1.1/idp",
                "client_id": "costhub",
                "client_secret": put("client secret"),
            },
        ),
    )
    key = ada.post("/keys", {"name": "second", "project": str(world.acme.project.pk)}, Idempotency_Key="make-one")
    assert key.status_code == 201, key.content
    put("key", key.json()["secret"])
    put("rotated key", ada.post(f"/keys/{key.json()['id']}/rotate", {"grace_seconds": 60}).json()["secret"])
    put("token", ada.post("/admin-tokens", {"name": "ci", "role": "developer"}).json()["secret"])
    put("platform token", create_platform_token(email=f"op-{world.acme.org.slug}@example.org"))
    invited = ada.post("/invitations", {"email": f"ivy-{world.acme.org.slug}@example.org", "role": "viewer"})
    assert invited.status_code == 201, invited.content
    (sent,) = [each for each in mail.outbox if "ivy-" in each.to[0]]
    put("invitation", next(word for word in str(sent.body).split() if "chi_" in word).rpartition("/")[2])
    note("mistyped", Api(token=f"cha_{put('token that is none')}").get("/keys"))
    broken = f'{{"name": "x", "credential": "{put("credential in broken JSON")}'.encode()
    note("broken JSON", ada.send("POST", "/upstreams", broken))
    note("unknown field", ada.post("/keys", {"name": "k", "secret": put("secret in an unknown field")}))
    note("secret in an address", ada.get("/keys", api_key=put("secret in an address")))
    unknown = f"chi_{put('invitation that is none')}"
    note("unknown invitation", make_client().get(f"/invitations/{unknown}"))
    note("secret in a query", make_client().get("/nowhere", {"token": put("token in a query")}))
    note("audit log", ada.get("/audit-log", limit="100"))


def sign_in(world: World, evidence: Evidence) -> None:
    """People: passwords, right and wrong, and second factors."""
    put, note = evidence.canaries.put, evidence.note
    ada, browser = world.ada, make_client()
    ada.set_password(put("password"))
    ada.save()
    note("wrong", browser.post("/login", {"email": ada.email, "password": put("wrong password")}))
    note("nobody", browser.post("/login", {"email": "nobody@acme.example", "password": put("password of nobody")}))
    TOTP.activate(ada, put("secret of an app", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"))
    put("seed of recovery codes", get_adapter().decrypt(RecoveryCodes.activate(ada).instance.data["seed"]))
    answer = base64.b64encode(f"<Response>{put('assertion of a provider')}</Response>".encode()).decode()
    note("assertion", browser.post("/account/sso/saml/acme/acs/", {"SAMLResponse": answer}))
    note(
        "code of a provider", browser.get("/account/sso/oidc/acme/login/callback/", {"code": put("code of a provider")})
    )
    right = browser.post("/login", {"email": ada.email, "password": evidence.canaries.known["password"]})
    assert right.status_code == 302
    note("second factor", browser.post("/account/2fa/authenticate/", {"code": put("code")}))


def make_calls(world: World, evidence: Evidence, bank: Bank, root: str) -> int:
    """The LLM API: what is said with capture off and on, secrets in wrong places, and an upstream that fails."""
    put, made = evidence.canaries.put, 0
    key = {"Authorization": f"Bearer {world.acme.api_key}"}

    def ask(what: str, content: str, headers: dict[str, str] = key, **more: Any) -> None:
        nonlocal made
        body = {
            "model": "small",
            "messages": [
                {"role": "system", "content": f"{put(f'system prompt, {what}')} is who you are"},
                {"role": "user", "content": content},
            ],
        } | more
        evidence.note(what, http.post(f"{root}/v1/chat/completions", json=body, headers=headers))
        made += 1

    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        ask("whole", put("prompt"))
        ask("streamed", put("streamed prompt"), stream=True)
        ask("again", put("prompt of an idempotent call"), key | {"Idempotency-Key": "once"})
        ask("a user", put("prompt of a user"), user="una", metadata={"ticket": "7"})
        ask("unknown model", put("prompt for no model"), model="none")
        ask("too much", put("prompt that is refused"), max_tokens=-1)
        ask("failing", put("prompt of a failing upstream"), bank={"fault": "error_after_tokens"})
        ask("no JSON", put("prompt answered with no JSON"), bank={"fault": "not_json"})
        ask("hung up", put("prompt that is hung up on"), bank={"fault": "hang_up"}, stream=True)
        ask("stranger", put("prompt of a stranger"), {"Authorization": f"Bearer chk_{put('key that is none')}"})
        ask("key elsewhere", put("prompt with a key elsewhere"), {"x-api-key": put("key in another header")})
        ask("kept", put("prompt of a kept answer"), store=True, temperature=0)
        ask("cached", put("prompt of a cached answer"), temperature=0)
        consent(world.acme)
        ask("captured", put("captured prompt"))
        broken = f'{{"model": "small", "messages": [{{"content": "{put("prompt in broken JSON")}'
        evidence.note("broken", http.post(f"{root}/v1/chat/completions", content=broken, headers=key))
        address = f"{root}/v1/models?api_key={put('key in an address')}"
        evidence.note("models", http.get(address, headers=key))
        evidence.note("not found", http.get(f"{root}/v1/{put('secret in a path')}", headers=key))
    return made


def upload(world: World, evidence: Evidence, root: str) -> None:
    """A file of calls, which goes where the operator's files lie."""
    put, key = evidence.canaries.put, {"Authorization": f"Bearer {world.acme.api_key}"}
    call = {"model": "small", "messages": [{"role": "user", "content": put("prompt of a file")}]}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": call}
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        file = {"file": ("calls.jsonl", json.dumps(line).encode(), "application/jsonl")}
        taken = http.post(f"{root}/v1/files", data={"purpose": "batch"}, files=file, headers=key)
        assert taken.status_code == 200, taken.content
        evidence.note("file", taken)
        batch = {"input_file_id": taken.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        evidence.note("batch", http.post(f"{root}/v1/batches", json=batch, headers=key))
        listed = http.get(f"{root}/v1/files", headers=key)
        assert taken.json()["id"] in listed.text
        evidence.note("files", listed)


def run_jobs(world: World, evidence: Evidence) -> None:
    """What happens to calls afterwards."""
    drain_ledger()
    reap_reservations()
    correct_estimates()
    rebuild_counters()
    store_captured()
    forget_uncovered()
    send_messages()
    ada = Api(token=world.acme.admin_token)
    evidence.note("requests", ada.get("/requests", limit="100"))
    evidence.note("spend", ada.get("/spend"))
