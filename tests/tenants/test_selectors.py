"""What the hot path is told: exact snapshots, and the one history that several price tables make."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.moments import to_ms
from costhub.lib.secrets import digest_of, unseal
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.end_users import create_end_user
from tenants.actions.keys import create_key, revoke_key
from tenants.actions.models import update_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope, UpstreamKind
from tenants.models import ListPrice, Price
from tenants.price_histories import compile_version, merge_versions
from tenants.price_snapshots import PriceSnapshot, Rates, make_rates
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tenants.snapshots import BudgetSnapshot, KeySnapshot, ModelSnapshot, OrgSnapshot
from tests.world import World, make_budget, make_catalog

JANUARY, MARCH, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 6))


def version_at(prices: tuple[PriceSnapshot, ...], moment_ms: int) -> PriceSnapshot | None:
    """How the hot path reads a history: the newest version that holds."""
    return next((version for version in prices if version.effective_from_ms <= moment_ms), None)


def price(source: str, effective_from_ms: int) -> PriceSnapshot:
    return PriceSnapshot(
        id=f"{source}-{effective_from_ms}",
        effective_from_ms=effective_from_ms,
        rates=make_rates({"input": 1, "output": 1}),
        source=source,
    )


histories = st.lists(st.integers(0, 30), unique=True, max_size=5)


@given(histories, histories, histories)
def test_at_every_moment_the_first_source_that_has_a_price_wins(
    own: list[int], listed: list[int], fallback: list[int]
) -> None:
    sources = [
        tuple(price(name, moment) for moment in moments)
        for name, moments in (("own", own), ("list", listed), ("fallback", fallback))
    ]
    merged = merge_versions(*sources)

    assert [version.effective_from_ms for version in merged] == sorted(
        {version.effective_from_ms for version in merged}, reverse=True
    )
    for moment in range(-1, 32):
        of_each = (
            max((v for v in source if v.effective_from_ms <= moment), key=lambda v: v.effective_from_ms, default=None)
            for source in sources
        )
        assert version_at(merged, moment) == next(filter(None, of_each), None)


def test_no_price_anywhere_is_an_empty_history() -> None:
    assert merge_versions((), (), ()) == ()


def test_classes_without_a_price_of_their_own_cost_what_input_or_output_does() -> None:
    row_id = uuid4()
    row = Price(
        input_per_million=Decimal("0.15"),
        output_per_million=Decimal("0.60"),
        per_request=Decimal("0.0025"),
        effective_from=JANUARY,
        source="typed by a member",
    )
    assert compile_version(row, row_id) == PriceSnapshot(
        id=str(row_id),
        effective_from_ms=to_ms(JANUARY),
        rates=Rates(
            input=150_000,
            output=600_000,
            cached_input=150_000,
            cache_write=150_000,
            cache_write_1h=150_000,
            audio_input=150_000,
            cached_audio_input=150_000,
            image_input=150_000,
            cached_image_input=150_000,
            audio_output=600_000,
            image_output=600_000,
        ),
        per_request=2_500_000_000,
        source="typed by a member",
    )


def test_classes_with_a_price_of_their_own_keep_it_and_zero_is_a_price() -> None:
    row = Price(
        input_per_million=Decimal("3"),
        output_per_million=Decimal("15"),
        cached_input_per_million=Decimal(0),
        cache_write_per_million=Decimal("3.75"),
        audio_input_per_million=Decimal("40"),
        audio_output_per_million=Decimal("0.0000001"),
        effective_from=JANUARY,
    )
    compiled = compile_version(row, uuid4()).rates
    assert (compiled.cached_input, compiled.cache_write, compiled.audio_input, compiled.audio_output) == (
        0,
        3_750_000,
        40_000_000,
        1,  # rounded up, never to nothing
    )


class TestKeySnapshot:
    def test_a_key_is_found_by_its_digest(self, world: World) -> None:
        acme = world.acme
        assert load_key_snapshot(digest_of(acme.api_key, settings.KEY_PEPPER)) == KeySnapshot(
            id=str(acme.key.pk),
            org_id=acme.org_id,
            project_id=str(acme.project.pk),
            version=2,
            end_user=None,
            models=None,
            expires_at_ms=None,
            is_revoked=False,
            name=acme.key.name,
            project_name=acme.project.name,
        )

    def test_restrictions_travel(self, world: World) -> None:
        make_catalog(world.acme)
        with org_scope(world.acme.org.pk):
            made = create_key(
                actor=world.ben_actor,
                name="bound",
                end_user="u-1",
                models=["small"],
                expires_at=datetime(2190, 1, 1, tzinfo=UTC),
            )
        snapshot = load_key_snapshot(digest_of(made.secret, settings.KEY_PEPPER))
        assert snapshot is not None
        assert (snapshot.end_user, snapshot.models, snapshot.expires_at_ms) == (
            "u-1",
            frozenset({"small"}),
            6_942_585_600_000,
        )

    def test_a_revoked_key_says_so(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            revoke_key(actor=world.ben_actor, key=world.acme.key)
        snapshot = load_key_snapshot(bytes(world.acme.key.digest))
        assert snapshot is not None
        assert (snapshot.is_revoked, snapshot.version) == (True, 3)

    @pytest.mark.usefixtures("world")
    def test_an_unknown_digest_is_nobodys(self) -> None:
        assert load_key_snapshot(b"\x00" * 32) is None

    def test_it_survives_the_journey_through_json(self, world: World) -> None:
        snapshot = load_key_snapshot(bytes(world.acme.key.digest))
        assert snapshot is not None
        limited = replace(snapshot, models=frozenset({"b", "a"}), end_user="u", expires_at_ms=1)
        assert KeySnapshot.from_json(limited.to_json()) == limited


class TestOrgSnapshot:
    def test_the_whole_catalog_and_nothing_of_others(self, world: World) -> None:
        catalog = make_catalog(world.acme, context_window=2048, max_output_tokens=512)
        make_catalog(world.mallcorp, model="theirs")
        budget = make_budget(world.acme, "10.00")
        with org_scope(world.acme.org.pk):
            create_end_user(actor=world.ben_actor, external_id="spammer", is_blocked=True)
            create_end_user(actor=world.ben_actor, external_id="friend")
        snapshot = load_org_snapshot(world.acme.org_id)

        assert snapshot is not None
        assert catalog.price is not None
        assert (snapshot.id, snapshot.slug, snapshot.time_zone, snapshot.is_active) == (
            world.acme.org_id,
            "acme",
            "UTC",
            True,
        )
        assert snapshot.shard == world.acme.org.shard
        assert snapshot.models == {
            "small": ModelSnapshot(
                name="small",
                upstream_id=str(catalog.upstream.pk),
                upstream_model="small",
                context_window=2048,
                max_output_tokens=512,
                tokenizer="bytes",
                created_ms=to_ms(catalog.model.created_at),
                prices=(compile_version(catalog.price, catalog.price.pk),),
            )
        }
        assert snapshot.budgets == (
            BudgetSnapshot(
                id=str(budget.pk),
                scope="organization",
                subject="",
                period="day",
                limit_nanos=10_000_000_000,
                action="block",
                name="",
                created_ms=to_ms(budget.created_at),
            ),
        )
        assert snapshot.blocked_end_users == frozenset({"spammer"})
        (upstream,) = snapshot.upstreams.values()
        assert (upstream.base_url, upstream.origin) == ("https://llm.acme.example/v1", "https://llm.acme.example:443")
        assert upstream.credential is not None
        assert b"sk-acme" not in upstream.credential
        opened = unseal(
            settings.MASTER_KEYS,
            snapshot.data_key,
            org_id=snapshot.id,
            origin=upstream.origin,
            sealed=upstream.credential,
        )
        assert opened == "sk-acme-0123456789abcdefgh"
        assert OrgSnapshot.from_json(snapshot.to_json()) == snapshot

    def test_what_is_inactive_is_left_out(self, world: World) -> None:
        catalog = make_catalog(world.acme)
        retired = make_catalog(world.acme, model="retired")
        budget = make_budget(world.acme, "1")
        with org_scope(world.acme.org.pk):
            update_upstream(actor=world.acme.owner, upstream=catalog.upstream, is_active=False)
            update_model(actor=world.acme.owner, model=retired.model, is_active=False)
            update_budget(actor=world.acme.owner, budget=budget, is_active=False)
        snapshot = load_org_snapshot(world.acme.org_id)
        assert snapshot is not None
        assert (snapshot.models, list(snapshot.upstreams), snapshot.budgets) == ({}, [str(retired.upstream.pk)], ())

    @pytest.mark.usefixtures("world")
    @pytest.mark.parametrize("org_id", ["0198f7a2-5b1c-7d3e-8f40-1a2b3c4d5e6f", "acme", ""])
    def test_an_unknown_organisation_has_none(self, org_id: str) -> None:
        assert load_org_snapshot(org_id) is None

    def test_every_change_moves_the_version(self, world: World) -> None:
        before = load_org_snapshot(world.acme.org_id)
        make_budget(world.acme, "1", scope=BudgetScope.KEY)
        after = load_org_snapshot(world.acme.org_id)
        other = load_org_snapshot(world.mallcorp.org_id)
        assert before is not None
        assert after is not None
        assert other is not None
        assert (before.version, after.version, other.version) == (2, 3, 2)


class TestPricesOfAModel:
    def sources(self, world: World) -> list[tuple[str, datetime]]:
        snapshot = load_org_snapshot(world.acme.org_id)
        assert snapshot is not None
        return [
            (version.source, datetime.fromtimestamp(version.effective_from_ms // 1000, UTC))
            for version in snapshot.models["gpt-of-tomorrow"].prices
        ]

    def add(self, world: World, model: object, moment: datetime) -> None:
        with org_scope(world.acme.org.pk):
            create_price(
                actor=world.acme.owner,
                model=model,  # type: ignore[arg-type]
                input_per_million=Decimal(1),
                output_per_million=Decimal(2),
                effective_from=moment,
            )

    def test_an_openai_model_costs_the_list_price(self, world: World) -> None:
        make_catalog(world.acme, kind=UpstreamKind.OPENAI, model="gpt-of-tomorrow", input_per_million=None)
        for provider, moment in (("openai", JANUARY), ("openai", JUNE), ("other", MARCH)):
            ListPrice.objects.create(
                provider=provider,
                model="gpt-of-tomorrow",
                input_per_million=1,
                output_per_million=2,
                effective_from=moment,
                source=provider,
            )
        assert self.sources(world) == [("openai", JUNE), ("openai", JANUARY)]

    def test_an_own_price_wins_from_its_moment_and_hides_nothing_before(self, world: World) -> None:
        catalog = make_catalog(world.acme, kind=UpstreamKind.OPENAI, model="gpt-of-tomorrow", input_per_million=None)
        for moment in (JANUARY, JUNE):
            ListPrice.objects.create(
                provider="openai",
                model="gpt-of-tomorrow",
                input_per_million=1,
                output_per_million=2,
                effective_from=moment,
                source="list",
            )
        self.add(world, catalog.model, MARCH)
        assert self.sources(world) == [("typed by a member", MARCH), ("list", JANUARY)]

    def test_the_list_is_not_for_a_tenants_own_endpoint(self, world: World) -> None:
        make_catalog(world.acme, model="gpt-of-tomorrow", input_per_million=None)
        ListPrice.objects.create(
            provider="openai",
            model="gpt-of-tomorrow",
            input_per_million=1,
            output_per_million=2,
            effective_from=JANUARY,
        )
        assert self.sources(world) == []

    def test_the_fallback_is_last(self, world: World) -> None:
        make_catalog(world.acme, kind=UpstreamKind.OPENAI, model="gpt-of-tomorrow", input_per_million=None)
        ListPrice.objects.create(
            provider="openai",
            model="gpt-of-tomorrow",
            input_per_million=1,
            output_per_million=2,
            effective_from=MARCH,
            source="list",
        )
        self.add(world, None, JANUARY)
        assert self.sources(world) == [("list", MARCH), ("typed by a member", JANUARY)]
