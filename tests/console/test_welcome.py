"""The way to a first call: what each step is, when it is done, who may do it, and the call that arrives."""

import ast
import json
import shlex

import pytest

from costhub.console.snippets import make_snippets
from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import User
from tests.billing.ledger import record_call
from tests.console.client import Visit, text_of
from tests.world import World, make_catalog

PAGE = "/o/acme/welcome"


def test_each_step_leads_to_its_form_until_it_is_done(world: World) -> None:
    ada = Visit(world.ada)
    html = ada.get(PAGE).content.decode()
    for room in ("upstreams", "models", "prices", "budgets"):
        assert f'href="/o/acme/{room}/new?step=yes"' in html
    assert 'href="/o/acme/keys/new' not in html  # Acme has a key
    assert "No model is set up yet" in text_of(ada.get(PAGE))
    make_catalog(world.acme, model="large", input_per_million=None)
    page = ada.get(PAGE)
    assert "Calls to large are refused until there is one. A price: make it" in text_of(page)
    assert 'href="/o/acme/prices/new?step=yes&amp;model=large"' in page.content.decode()
    make_catalog(world.acme, model="small")
    html = ada.get(PAGE).content.decode()
    for room in ("upstreams", "models", "prices"):
        assert f'href="/o/acme/{room}/new' not in html
    assert ("No model is set up yet" in html, '"model": "small"' in html.replace("&quot;", '"')) == (False, True)


def test_who_may_not_do_a_step_is_told_whom_to_ask(world: World) -> None:
    page = Visit(world.ben).get(PAGE)
    assert "Ask an owner or admin of Acme." in text_of(page)
    assert 'href="/o/acme/upstreams/new' not in page.content.decode()


def test_a_form_that_was_opened_from_a_step_leads_back_to_the_steps(world: World) -> None:
    ada, steps = Visit(world.ada), f"{PAGE}#steps-title"
    made = {
        "upstreams/new": {"name": "ours", "base_url": "https://llm.example/v1"},
        "models/new": {"name": "house"},
        "prices/new": {"model": "house", "input_per_million": "1", "output_per_million": "2"},
        "budgets/new": {"limit": "10.00"},
    }
    for path, typed in made.items():
        address = f"/o/acme/{path}?step=yes"
        assert f'action="{address}"' in ada.get(address).content.decode(), path
        assert ada.submit(address, **typed).headers["Location"] == steps, path
    elsewhere = ada.submit("/o/acme/budgets/new", limit="20.00", scope="project", subject=world.acme.project.name)
    assert elsewhere.headers["Location"] == "/o/acme/budgets"
    assert 'shown once, when it is made: <a href="/o/acme/keys/new?step=yes">make another</a>' in " ".join(
        ada.get(PAGE).content.decode().split()
    )
    secret = ada.submit("/o/acme/keys/new?step=yes", name="mine").content.decode()
    assert f'<a class="button" href="{PAGE}">I have copied it</a>' in secret


def test_the_call_arrives_on_the_page_that_waits_for_it(world: World) -> None:
    ada = Visit(world.ada)
    assert "Waiting for the first call" in text_of(ada.get(PAGE))
    call = record_call(world.acme, clock.now(), request_model="small", cost=285_000)
    arrived = ada.get(PAGE, HX_Request="true")
    assert "A call has arrived: small at" in text_of(arrived)
    assert "answered 200, $0.000285000." in text_of(arrived)
    assert f'href="/o/acme/requests/{call.id}"' in arrived.content.decode()
    assert "<html" not in arrived.content.decode()


def test_a_viewer_sees_no_calls_here(world: World) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
    record_call(world.acme, clock.now(), request_model="small", cost=285_000)
    page = text_of(Visit(User.objects.get(email="vic@acme.example")).get(PAGE))
    assert ("has arrived" in page, "Waiting" in page) == (False, False)


@pytest.mark.parametrize("model", ["it's", 'a"b\\c', "💸 ${x} `id`"])
def test_a_name_of_any_kind_can_be_pasted(model: str) -> None:
    """Python reads its snippet; what a shell makes of its own is the body that was meant."""
    curl, python, _ = make_snippets("http://127.0.0.1:8000/v1", model)
    (call,) = [
        node for node in ast.walk(ast.parse(python.text)) if isinstance(node, ast.keyword) and node.arg == "model"
    ]
    assert ast.literal_eval(call.value) == model
    words = shlex.split(curl.text.replace("\\\n", " "))
    assert json.loads(words[-1])["model"] == model
