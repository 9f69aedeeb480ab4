"""Events of Stripe's that were given up, as the operator's program sees them; nobody else does."""

import json
from datetime import timedelta
from uuid import uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.invoices.models import BillingAccount, StripeEvent
from tenants.access import org_scope
from tenants.actions.platform import create_platform_token
from tenants.models import AuditEntry
from tests.billing.invoices.examples import OCTOBER, make_customer
from tests.billing.ledger import NOW
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World


def test_many_are_listed_by_as_many_statements_as_one(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    customer = f"cus_{uuid4().hex}"
    with org_scope(world.acme.org.pk):
        BillingAccount.objects.update(stripe_customer=customer)
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    counted = []
    for of, count in (("cus_nobody", 1), (customer, 20)):
        for _ in range(count):
            StripeEvent.objects.create(
                id=f"evt_{uuid4().hex}", kind="invoice.paid", body=b"{}", tries=20, given_up_at=NOW, customer=of
            )
        with CaptureQueriesContext(connection) as asked:
            rows = operator.get("/stripe-events").json()["data"]
        counted.append(len(asked))
    assert counted[0] == counted[1]
    assert sum(row["organization"] == world.acme.org_id for row in rows) == 20


def test_one_is_tried_again_by_the_operator_alone(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    customer = f"cus_{uuid4().hex}"
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(stripe_customer=customer)
    name = f"evt_{uuid4().hex}"
    body = {"id": name, "type": "invoice.paid", "data": {"object": {"object": "invoice", "customer": customer}}}
    StripeEvent.objects.create(
        id=name,
        kind="invoice.paid",
        body=json.dumps(body).encode(),
        received_at=NOW,
        tries=20,
        waits_until=NOW + timedelta(hours=11),
        given_up_at=NOW + timedelta(hours=10),
        error="It cannot be.",
    )
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    shown = {
        "id": name,
        "kind": "invoice.paid",
        "organization": acme.org_id,
        "received_at": "2026-11-22T12:00:00Z",
        "given_up_at": "2026-11-22T22:00:00Z",
        "error": "It cannot be.",
        "is_retried": False,
        "next_try_at": None,
    }
    assert [row for row in operator.get("/stripe-events").json()["data"] if row["id"] == name] == [shown]
    answers = [operator.post(f"/stripe-events/{name}/retry", {}) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, shown | {"is_retried": True})] * 2
    with org_scope(acme.org.pk):
        entry = AuditEntry.objects.get(org=acme.org, target_id=name)
    assert (entry.action, entry.actor.startswith("platform token ")) == ("stripe_event.retried", True)
    StripeEvent.objects.filter(pk=name).update(applied_at=NOW)
    assert check_problem(operator.post(f"/stripe-events/{name}/retry", {}))["status"] == 409
    assert check_problem(operator.post("/stripe-events/evt_x/retry", {}))["status"] == 404
    ada = Api(token=acme.admin_token)
    for answer in (ada.get("/stripe-events"), ada.post(f"/stripe-events/{name}/retry", {})):
        assert check_problem(answer)["status"] == 404
