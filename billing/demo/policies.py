"""What the demo's organisation has set up beside its catalog: a route, policies, people who ask, and what they keep."""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final
from uuid import UUID

import numpy as np

from billing.demo.calls import DemoRoute, make_id
from costhub.lib.moments import to_ms
from costhub.lib.money import parse_usd
from proxy.batches.model import Batch
from proxy.batches.store import COMPLETED, COST, create_batch
from proxy.cache.entries import Kept
from proxy.cache.semantic_store import keep, note_lookup
from proxy.values.attempt import Certainty, Usage
from tenants.access import Actor
from tenants.actions.budget_requests import ask_for_more, grant_request
from tenants.actions.cache import create_cache_policy
from tenants.actions.capture import create_capture_policy
from tenants.actions.compression import create_compression_policy
from tenants.actions.invitations import invite
from tenants.actions.routes import create_route
from tenants.actions.system_prompts import approve_system_prompt, propose_system_prompt
from tenants.actions.tokens import create_service_account, create_token
from tenants.actions.views import save_view
from tenants.choices import CacheMode, CacheSharing, Compression, Mode, Role, RouteKind, ViewPage
from tenants.models import ApiKey, Budget

ROUTE: Final = DemoRoute("support-answers", "gpt-4o", "gpt-4o-mini")
_DIMENSIONS: Final = 384
_SCOPE: Final = b"demo"
_ORIGINAL: Final = (
    "You are a helpful assistant for the customers of Northwind. You should always try to be polite and friendly. It is"
    " very important that you answer only from the passages that are given to you below. If the passages that are given"
    " do not have the answer in them, then you should say that you do not know the answer."
)
_SHORTER: Final = "Answer Northwind's customers politely, from the passages below only; else say that you do not know."
#: what was asked, how near a question that was kept is, and whether the answer was right for it
_ASKED: Final = (
    ("How do I get my money back?", "How can I get a refund?", 0.97, True),
    ("Where is my parcel?", "Where is my order?", 0.95, True),
    ("Can I change the address of my delivery?", "How do I change my address?", 0.91, False),
)


def make_policies(actor: Actor, budget: Budget, now: datetime) -> None:
    """Inside the organisation, which has its models and projects."""
    create_route(
        actor=actor,
        name=ROUTE.name,
        kind=RouteKind.ROUTER,
        mode=Mode.ON,
        targets=[{"model": ROUTE.weak}, {"model": ROUTE.strong}],
        baseline=ROUTE.strong,
        holdout_percent=12,
    )
    create_cache_policy(
        actor=actor,
        mode=CacheMode.ON,
        semantic=CacheMode.SHADOW,
        ttl_seconds=86_400,
        max_temperature=Decimal("1"),
        sharing=CacheSharing.PROJECT,
    )
    create_compression_policy(
        actor=actor,
        mode=Mode.ON,
        model="gpt-4.1",
        methods=[Compression.LOSSLESS, Compression.SYSTEM_PROMPT],
        holdout_percent=5,
    )
    create_capture_policy(actor=actor, per_mille=100, model="gpt-4.1", kept_days=30)
    prompt = propose_system_prompt(actor=actor, original=_ORIGINAL, shorter=_SHORTER)
    approve_system_prompt(actor=actor, prompt=prompt)
    save_view(actor=actor, name="Spend by team", page=ViewPage.BREAKDOWN, query="by=tag:team&range=30d")
    account = create_service_account(actor=actor, name="deploy pipeline", role=Role.DEVELOPER)
    create_token(actor=actor, name="nightly export", account=account)
    invite(actor=actor, email="nora@northwind.example", role=Role.DEVELOPER)
    _ask_for_more(actor, budget, now)
    _keep_questions(actor, now)
    _hand_in_batch(actor, now)


def _ask_for_more(actor: Actor, budget: Budget, now: datetime) -> None:
    """One request that was granted, and one that waits."""
    developer = Actor(actor.org, Role.DEVELOPER, "dev@northwind.example")
    for usd, days, reason in (("5.00", 2, "A load test"), ("25.00", 14, "The launch of the new help centre")):
        asked = ask_for_more(
            actor=developer,
            budget=budget,
            amount_nanos=parse_usd(usd),
            until=now + timedelta(days=days),
            reason=reason,
        )
        if usd == "5.00":
            grant_request(actor=actor, request=asked, answer="Go ahead.")


def _keep_questions(actor: Actor, now: datetime) -> None:
    """Questions that the cache keeps by meaning, and what was asked that was like them. Their vectors say nothing: they
    are there to be looked at."""
    org_id, random = str(actor.org.pk), Random(7)  # noqa: S311 - a picture, not a secret
    for place, (asked, kept_question, similarity, is_right) in enumerate(_ASKED):
        at = now - timedelta(hours=3 * place + 1)
        entry_id, request_id = (make_id(random, to_ms(at)) for _ in range(2))
        vector = np.zeros(_DIMENSIONS, np.float32)
        vector[place] = 1
        kept = Kept(
            id=entry_id,
            stored_ms=to_ms(at),
            model=ROUTE.weak,
            scope=_SCOPE.hex(),
            tags=("team=support",),
            content_type="application/json",
            response_model=ROUTE.weak,
            finish_reason="stop",
            service_tier="",
            usage=Usage(input=40, output=60),
            certainty=Certainty.EXACT,
            body=b'{"choices": []}',
        )
        keep(org_id, _SCOPE, kept_question, vector, kept, 86_400, 0)
        looked_up: dict[str, Any] = {
            "at": at + timedelta(minutes=7),
            "asked": asked,
            "entry_id": entry_id,
            "kept_question": kept_question,
            "similarity": similarity,
            "likelihood": similarity,
            "threshold": 0.9,
            "was_served": True,
            "is_shadow": True,
            "right": is_right,
        }
        note_lookup(org_id, request_id, looked_up)


def _hand_in_batch(actor: Actor, now: datetime) -> None:
    """Last night's, which has come to its end; its files are deleted by now."""
    key = ApiKey.objects.filter(org=actor.org).order_by("created_at")[0]
    began, random = now - timedelta(hours=9), Random(11)  # noqa: S311 - a picture, not a secret
    batch_id, file_id = (UUID(make_id(random, to_ms(began))) for _ in range(2))
    create_batch(
        Batch(
            id=batch_id,
            org_id=actor.org.pk,
            project_id=key.project_id,
            key_id=key.pk,
            end_user="",
            session="",
            endpoint="/v1/chat/completions",
            model=ROUTE.weak,
            input_file_id=file_id,
            status=COMPLETED,
            total=1_200,
            completed=1_197,
            failed=3,
            remote={COST: parse_usd("0.41")},
            created_ms=to_ms(began),
            in_progress_at=began,
            finalizing_at=began + timedelta(hours=2),
            completed_at=began + timedelta(hours=2),
            expires_at=began + timedelta(days=1),
        )
    )
