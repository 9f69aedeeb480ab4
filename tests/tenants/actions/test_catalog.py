"""Models, prices, projects and end users: what is stored, what is refused, with which field named."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from tenants.access import Actor, enter_org
from tenants.actions.end_users import create_end_user, update_end_user
from tenants.actions.keys import revoke_key
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.actions.projects import create_project, update_project
from tenants.choices import Role, Tokenizer
from tenants.models import AuditEntry, Price
from tests.world import Catalog, World, make_catalog

JUNE = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


@pytest.fixture
def catalog(world: World) -> Catalog:
    return make_catalog(world.acme, input_per_million=None)


class TestModels:
    def test_what_is_left_out_is_filled_in(self, world: World, catalog: Catalog) -> None:
        model = create_model(actor=world.acme.owner, name="tiny", upstream=catalog.upstream, context_window=4096)
        assert (model.upstream_model, model.max_output_tokens, model.tokenizer) == ("tiny", 4096, "bytes")

    @pytest.mark.parametrize(
        ("field", "changes"),
        [
            ("name", {"name": "two words"}),
            ("name", {"name": ""}),
            ("upstream_model", {"upstream_model": "a b"}),
            ("context_window", {"context_window": 0}),
            ("context_window", {"context_window": 2**31}),
            ("max_output_tokens", {"context_window": 10, "max_output_tokens": 11}),
            ("max_output_tokens", {"max_output_tokens": -5}),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, world: World, catalog: Catalog, field: str, changes: dict[str, object]
    ) -> None:
        with pytest.raises(InvalidField) as caught:
            create_model(**{"actor": world.acme.owner, "name": "m", "upstream": catalog.upstream} | changes)  # type: ignore[arg-type]
        assert caught.value.field == field

    def test_a_name_is_taken_once(self, world: World, catalog: Catalog) -> None:
        with pytest.raises(Conflict):
            create_model(actor=world.acme.owner, name="small", upstream=catalog.upstream)

    def test_a_change_is_checked_against_what_stays(self, world: World, catalog: Catalog) -> None:
        update_model(actor=world.acme.owner, model=catalog.model, context_window=20_000, tokenizer=Tokenizer.O200K)
        assert (catalog.model.context_window, catalog.model.tokenizer) == (20_000, "o200k_base")
        with pytest.raises(InvalidField) as caught:
            update_model(actor=world.acme.owner, model=catalog.model, context_window=10_000)
        assert caught.value.field == "max_output_tokens"


class TestPrices:
    def test_a_price_holds_from_now_unless_said(self, world: World, catalog: Catalog) -> None:
        with time_machine.travel(JUNE, tick=False):
            price = create_price(
                actor=world.acme.owner,
                model=catalog.model,
                input_per_million=Decimal("0.15"),
                output_per_million=Decimal(0),
            )
            assert price.effective_from == clock.now() == JUNE
        stored = Price.objects.get(pk=price.pk)
        assert (stored.input_per_million, stored.output_per_million, stored.cached_input_per_million) == (
            Decimal("0.15"),
            Decimal(0),
            None,
        )
        assert (stored.created_by, stored.source) == ("ada@acme.example", "typed by a member")
        assert AuditEntry.objects.get(action="price.created").changes == {
            "model": "small",
            "effective_from": "2026-06-01T00:00:00+00:00",
            "input_per_million": "0.15",
            "output_per_million": "0",
            "per_request": "0",
        }

    def test_one_moment_has_one_price(self, world: World, catalog: Catalog) -> None:
        for model in (catalog.model, None):
            create_price(
                actor=world.acme.owner,
                model=model,
                input_per_million=Decimal(1),
                output_per_million=Decimal(1),
                effective_from=JUNE,
            )
            with pytest.raises(Conflict) as caught:
                create_price(
                    actor=world.acme.owner,
                    model=model,
                    input_per_million=Decimal(2),
                    output_per_million=Decimal(2),
                    effective_from=JUNE,
                )
            assert caught.value.field == "effective_from"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("input_per_million", Decimal("-0.01")),
            ("output_per_million", Decimal("1000000.000000000001")),
            ("cached_input_per_million", Decimal("NaN")),
            ("cache_write_per_million", Decimal("Infinity")),
            ("audio_input_per_million", Decimal("1e-13")),
            ("per_request", Decimal("1e300000")),
            ("effective_from", datetime(1999, 12, 31, tzinfo=UTC)),
            ("effective_from", datetime(2200, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_what_cannot_be_counted_is_refused(self, world: World, catalog: Catalog, field: str, value: object) -> None:
        given: dict[str, object] = {"input_per_million": Decimal(1), "output_per_million": Decimal(1), field: value}
        with pytest.raises(InvalidField) as caught:
            create_price(actor=world.acme.owner, model=catalog.model, **given)  # type: ignore[arg-type]
        assert caught.value.field == field

    def test_finance_may_and_a_developer_may_not(self, world: World, catalog: Catalog) -> None:
        finance = Actor(world.acme.org, Role.FINANCE, "f")
        create_price(actor=finance, model=None, input_per_million=Decimal(1), output_per_million=Decimal(1))
        with pytest.raises(Forbidden):
            create_price(actor=world.ben_actor, model=None, input_per_million=Decimal(1), output_per_million=Decimal(1))


class TestProjects:
    def test_names_are_unique_in_an_organisation(self, world: World) -> None:
        with pytest.raises(Conflict) as caught:
            create_project(actor=world.acme.owner, name="default")
        assert caught.value.field == "name"
        other = create_project(actor=world.acme.owner, name="other")
        with pytest.raises(Conflict):
            update_project(actor=world.acme.owner, project=other, name="default")

    def test_a_project_with_live_keys_is_not_put_away(self, world: World) -> None:
        with pytest.raises(Conflict) as caught:
            update_project(actor=world.acme.owner, project=world.acme.project, is_archived=True)
        assert caught.value.field == "is_archived"
        revoke_key(actor=world.acme.owner, key=world.acme.key)
        assert update_project(actor=world.acme.owner, project=world.acme.project, is_archived=True).is_archived


class TestEndUsers:
    def test_an_id_is_taken_once_in_an_organisation(self, world: World) -> None:
        create_end_user(actor=world.ben_actor, external_id="u-1", name="Una")
        with pytest.raises(Conflict) as caught:
            create_end_user(actor=world.ben_actor, external_id="u-1")
        assert caught.value.field == "external_id"

    def test_blocking_is_a_change_for_the_proxies(self, world: World) -> None:
        una = create_end_user(actor=world.ben_actor, external_id="u-1")
        assert world.acme.org.version == 2
        update_end_user(actor=world.ben_actor, end_user=una, is_blocked=True)
        world.acme.org.refresh_from_db()
        assert (una.is_blocked, world.acme.org.version) == (True, 3)
