"""Lists of what was trained ask the database as often for many rows as for one, and for nothing that they do not
show."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from proxy.learning.models import ProviderTuning, Trusted
from tenants.access import org_scope
from tests.proxy.learning.rows import fill_learning
from tests.world import Api, World


@pytest.mark.parametrize(("resource", "kind"), [("provider-tunings", ProviderTuning)])
def test_many_rows_ask_no_more_than_one(world: World, resource: str, kind: type[Trusted]) -> None:
    acme = world.acme
    fill_learning(acme)
    api = Api(token=acme.admin_token)

    def ask() -> tuple[int, int, str]:
        with CaptureQueriesContext(connection) as asked:
            shown = api.get(f"/{resource}").json()["data"]
        texts = [query["sql"] for query in asked.captured_queries]
        return len(shown), len(texts), "\n".join(texts)

    rows, queries, text = ask()
    assert rows == 1
    assert not [name for name in ("train", "held_out", "trials", "recent") if f'"{name}"' in text]
    with org_scope(acme.org.pk):
        row = kind._default_manager.get(org=acme.org)
        for _ in range(4):
            row.pk = uuid4()
            row.save(force_insert=True)
    assert ask()[:2] == (5, queries)


def test_tuned_models_and_students_read_no_ids_of_examples(world: World) -> None:
    fill_learning(world.acme)
    api = Api(token=world.acme.admin_token)
    for resource, warnings in (("tuned-models", 1), ("students", 0)):
        with CaptureQueriesContext(connection) as asked:
            (row,) = api.get(f"/{resource}").json()["data"]
        assert len(row["warnings"]) == warnings, resource
        assert not [query["sql"] for query in asked.captured_queries if '"held_out"' in query["sql"]], resource
