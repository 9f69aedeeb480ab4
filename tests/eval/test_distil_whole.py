"""From prompts to a canary against real proxy processes: every step of ``costhub distil`` on questions made here."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import transaction

from costhub.eval import distil
from costhub.stack.ports import find_free_port
from proxy.learning.choices import Stage
from proxy.learning.models import Student
from proxy.learning.students import read_economy
from proxy.ledger.drain import drain
from proxy.models import LedgerEntry
from tenants.access import Actor, list_memberships, org_scope
from tenants.choices import Role
from tests.proxy.deployment import deploy
from tests.world import World

#: things that one would talk of, by intent
THINGS = {
    "weather": "rain snow wind fog hail thunder sunshine frost humidity drizzle clouds storms sleet heat temperature breeze",
    "music": "jazz opera piano guitar drums violin symphony blues techno folk choir trumpet reggae ballads disco accordion",
    "food": "pasta soup curry bread cheese salad noodles pancakes sushi tacos stew omelette lasagna dumplings pizza risotto",
    "travel": "flights trains hotels visas luggage passports airports ferries hostels itineraries customs buses cruises taxis tickets maps",
    "money": "loans salary taxes pension mortgage savings dividends invoices credit interest stocks bonds insurance rent refunds fees",
}
PLACES = "Lisbon Oslo Cairo Lima Kyoto Dublin Quito Perth Vienna Nairobi Boston Hanoi Zagreb Tunis".split()
FRAMES = ("tell me about {thing} in {place}", "{place}: how is the {thing} over there these days")


def write_questions(folder: Path) -> Path:
    """A file like CLINC150's."""
    rows = [
        [frame.format(thing=thing, place=place), intent]
        for intent, things in THINGS.items()
        for thing in things.split()
        for place in PLACES
        for frame in FRAMES
    ]
    path = folder / "semantic_cache" / "clinc150" / "data_full.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(orjson.dumps({"train": rows}))
    return folder


@pytest.mark.soak
def test_from_prompts_to_a_canary_and_its_calls(
    committed_world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, settings: Any
) -> None:
    folder = write_questions(tmp_path / "data")
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    settings.STUDENTS_URL = f"http://127.0.0.1:{find_free_port()}/v1"
    with deploy(tmp_path_factory.mktemp("distil"), workers=2) as proxy:
        settings.PROXY_URL = proxy.root_url
        told: list[str] = []
        figures = distil.distil(
            *(folder, tmp_path),
            email=committed_world.ada.email,
            prompts=900,
            labels=5,
            calls=60,
            tell=told.append,
        )
    assert (figures.prompts, figures.labels, figures.calls, figures.stage) == (900, 5, 60, "canary")
    assert 0 < figures.answered_by_student <= 60
    assert all(f"{who} " in figures.right_by_gold_held_out for who in ("student", "teacher", "together"))
    assert told == list(figures.seconds) == ["teacher answers", "dataset", "training", "shadow", "calls"]
    with transaction.atomic():
        orgs = [one.org for one in list_memberships(committed_world.ada)]
    (org,) = [one for one in orgs if one.name.startswith("Distilled ")]
    drain(org.shard)
    with org_scope(org.pk):
        actor = Actor(org, Role.OWNER, "Ada")
        student = Student.objects.get(org=org)
        rows = LedgerEntry.objects.filter(org_id=org.pk, kind="call")
        # The teacher's 900, the 250 that it was compared on, and those by the route.
        assert rows.count() == 900 + distil.COMPARED + 60
        assert all(row.list_cost - row.effective_cost == sum(row.savings.values()) for row in rows)
        assert rows.filter(savings__distillation__gt=0).count() == figures.answered_by_student
        economy = read_economy(actor, student)
    assert student.stage in {Stage.CANARY.value, Stage.PROMOTED.value}
    assert student.compared == distil.COMPARED
    assert economy.break_even_calls is not None
    assert economy.success is not None
    assert economy.success.calls < 1
