"""Snapshots of tenants: what changes reaches a running process within a second, whatever is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from decimal import Decimal
from threading import Event
from typing import Any

import psutil
import psycopg
import pytest
import time_machine
from django.conf import settings
from django.db import connections
from django.db.models import F

from costhub.lib import clock, keyspace, secrets
from costhub.lib.moments import from_ms
from costhub.lib.money import Nanos
from costhub.lib.redis import client
from costhub.stack.ports import find_free_port
from proxy.core.plan import find_model
from proxy.edges import catalog as module
from proxy.edges import new_keys
from proxy.edges.auth import Auth
from proxy.edges.catalog import Catalog
from proxy.edges.new_keys import NewKeys
from proxy.errors import GovernanceUnavailable, ModelNotFound, Unauthorized
from tenants.access import find_known_keys, org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.changes import publish, sync_versions
from tenants.actions.end_users import create_end_user
from tenants.actions.keys import create_key, revoke_key, rotate_key, update_key
from tenants.actions.pricing import create_price
from tenants.actions.stops import set_stopped
from tenants.models import ApiKey, Budget, LanguageModel, Organization
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.threads import in_thread, within_a_second
from tests.watched import watched
from tests.world import Tenant, World, make_budget, make_catalog

Open = Callable[..., Coroutine[Any, Any, Catalog]]


@pytest.fixture
def tenant(committed_world: World) -> Tenant:
    """Acme, with a model, a price and a budget."""
    make_catalog(committed_world.acme)
    make_budget(committed_world.acme, "1.00")
    return committed_world.acme


@pytest.fixture
async def start() -> AsyncIterator[Open]:
    """Start a process's catalog; it is closed when the test ends."""
    opened: list[Catalog] = []

    async def open_one(url: str = settings.REDIS_URL) -> Catalog:
        opened.append(Catalog(url))
        await opened[-1].open()
        return opened[-1]

    yield open_one
    for catalog in opened:
        await catalog.close()


@pytest.fixture
def postgresql_is_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on new connections to PostgreSQL are refused."""

    def go_away() -> None:
        monkeypatch.setitem(connections.settings["default"], "PORT", str(find_free_port()))

    return go_away


def auth(catalog: Catalog) -> Auth:
    return Auth(catalog, settings.KEY_PEPPER)


async def is_refused(catalog: Catalog, api_key: str) -> bool:
    try:
        await auth(catalog).authenticate(api_key)
    except Unauthorized:
        return True
    return False


class TestFresh:
    async def test_a_revoked_key_is_refused(self, start: Open, tenant: Tenant) -> None:
        catalogs = [await start() for _ in range(2)]
        assert [await is_refused(catalog, tenant.api_key) for catalog in catalogs] == [False, False]

        def revoke() -> None:
            with org_scope(tenant.org_id):
                revoke_key(actor=tenant.owner, key=tenant.key)

        await in_thread(revoke)
        for catalog in catalogs:
            await within_a_second(lambda catalog=catalog: is_refused(catalog, tenant.api_key))  # type: ignore[misc]

    async def test_a_rotated_key_gives_way_to_its_successor(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()
        before, _ = await auth(catalog).authenticate(tenant.api_key)

        def rotate() -> str:
            with org_scope(tenant.org_id):
                return rotate_key(actor=tenant.owner, key=tenant.key).secret

        successor = await in_thread(rotate)
        await within_a_second(lambda: is_refused(catalog, tenant.api_key))
        after, _ = await auth(catalog).authenticate(successor)
        assert (after.project_id, after.id != before.id) == (before.project_id, True)

    async def test_a_key_expires_by_itself(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()

        def make() -> str:
            with org_scope(tenant.org_id):
                expires_at = clock.now().replace(year=clock.now().year + 1)
                return create_key(actor=tenant.owner, name="short", expires_at=expires_at).secret

        api_key = await in_thread(make)
        key, _ = await auth(catalog).authenticate(api_key)
        assert key.expires_at_ms is not None
        with time_machine.travel(from_ms(key.expires_at_ms - 1), tick=False):
            await auth(catalog).authenticate(api_key)
        with (
            time_machine.travel(from_ms(key.expires_at_ms), tick=False),
            pytest.raises(Unauthorized, match="This API key has expired"),
        ):
            await auth(catalog).authenticate(api_key)

    async def test_a_new_price_and_a_new_limit_arrive(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()
        before = await catalog.get_org(tenant.org_id)
        assert (before.models["small"].prices[0].rates.input, before.budgets[0].limit_nanos) == (150_000, 10**9)
        await in_thread(lambda: set_price(tenant, "0.30"))

        async def price_is_new() -> bool:
            return (await catalog.get_org(tenant.org_id)).models["small"].prices[0].rates.input == 300_000

        await within_a_second(price_is_new)
        await in_thread(lambda: set_limit(tenant, 5))
        await within_a_second(lambda: limit_is(catalog, tenant, 5))

    async def test_a_change_is_learnt_whose_message_was_lost(self, start: Open, tenant: Tenant) -> None:
        """The subscription breaks, and while nobody listens something changes: nothing will ever be published of it."""
        catalog = await start()
        await catalog.get_org(tenant.org_id)
        for limit in range(1, 4):
            await in_thread(lambda limit=limit: change_while_nobody_listens(tenant, limit))  # type: ignore[misc]
            await within_a_second(lambda limit=limit: limit_is(catalog, tenant, limit))  # type: ignore[misc]

    async def test_a_change_that_is_no_keys_leaves_keys_alone(self, start: Open, tenant: Tenant) -> None:
        """An organisation may have ten thousand keys: a new limit must not have all of them read again."""
        catalog = await start()
        before, _ = await auth(catalog).authenticate(tenant.api_key)
        await in_thread(lambda: set_limit(tenant, 5))
        await within_a_second(lambda: limit_is(catalog, tenant, 5))
        after, _ = await auth(catalog).authenticate(tenant.api_key)
        assert after is before, "it was read again"

    async def test_what_changes_of_a_key_arrives(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)

        def narrow() -> None:
            with org_scope(tenant.org_id):
                update_key(actor=tenant.owner, key=tenant.key, models=["small"])

        await in_thread(narrow)

        async def is_narrow() -> bool:
            key, _ = await auth(catalog).authenticate(tenant.api_key)
            return key.models == frozenset({"small"})

        await within_a_second(is_narrow)

    async def test_a_key_that_was_revoked_unheard_is_read_again(self, start: Open, tenant: Tenant) -> None:
        """A later change was heard of, then the subscription broke, and the message of the revocation was lost."""
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)

        def revoke() -> None:
            with org_scope(tenant.org_id):
                ApiKey.objects.filter(pk=tenant.key.pk).update(revoked_at=clock.now())
            set_limit(tenant, 5)

        await in_thread(revoke)
        await within_a_second(lambda: limit_is(catalog, tenant, 5))
        for address in own_subscriptions():
            client().client_kill_filter(addr=address)
        await within_a_second(lambda: is_refused(catalog, tenant.api_key))

    async def test_an_organisation_that_was_erased_unheard_is_refused(self, start: Open, tenant: Tenant) -> None:
        """The message of its closing was lost, and its versions went with it: nothing tells of a change any more."""
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)

        def erase() -> None:
            with org_scope(tenant.org_id):
                ApiKey.objects.filter(pk=tenant.key.pk).delete()
            client().delete(
                keyspace.key_snapshot_key(bytes(tenant.key.digest)), keyspace.org_snapshot_key(tenant.org_id)
            )
            for name in (keyspace.VERSIONS, keyspace.STOPS):
                client().hdel(name, tenant.org_id)

        await in_thread(erase)
        for address in own_subscriptions():
            client().client_kill_filter(addr=address)
        await within_a_second(lambda: is_refused(catalog, tenant.api_key))

    async def test_a_key_whose_change_could_not_be_told_is_read_again_when_versions_are_repaired(
        self, start: Open, tenant: Tenant
    ) -> None:
        """Valkey was away when the key was revoked: what makes up for it knows the version, and not the key."""
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)

        def revoke() -> None:
            with org_scope(tenant.org_id):
                ApiKey.objects.filter(pk=tenant.key.pk).update(revoked_at=clock.now())
                Organization.objects.filter(pk=tenant.org.pk).update(version=F("version") + 1)
            sync_versions()

        await in_thread(revoke)
        await within_a_second(lambda: is_refused(catalog, tenant.api_key))

    @pytest.mark.parametrize("written", [b"{}", b"nonsense", b'{"id": 1, "unknown": 2}'])
    async def test_a_snapshot_that_cannot_be_read_is_made_anew(
        self, start: Open, tenant: Tenant, written: bytes
    ) -> None:
        client().set(keyspace.key_snapshot_key(bytes(tenant.key.digest)), written)
        client().set(keyspace.org_snapshot_key(tenant.org_id), written)
        key, org = await auth(await start()).authenticate(tenant.api_key)
        assert (key.id, org.id) == (str(tenant.key.pk), tenant.org_id)

    async def test_a_strangers_message_does_not_end_the_listening(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()
        await catalog.get_org(tenant.org_id)
        for nonsense in (b"nonsense", b"a b c", b"\xff\xfe 1", b""):
            client().publish(keyspace.CHANGES, nonsense)
        await in_thread(lambda: set_limit(tenant, 5))
        await within_a_second(lambda: limit_is(catalog, tenant, 5))

    async def test_what_a_slow_loader_wrote_is_not_believed(self, start: Open, tenant: Tenant) -> None:
        first = await start()
        old_key, old_org = await auth(first).authenticate(tenant.api_key)

        def revoke() -> None:
            set_limit(tenant, 5)
            with org_scope(tenant.org_id):
                revoke_key(actor=tenant.owner, key=tenant.key)

        await in_thread(revoke)
        digest = bytes(tenant.key.digest)
        client().set(keyspace.key_snapshot_key(digest), old_key.to_json())
        client().set(keyspace.org_snapshot_key(tenant.org_id), old_org.to_json())
        second = await start()
        assert await is_refused(second, tenant.api_key)
        assert await limit_is(second, tenant, 5)

    async def test_a_change_while_it_is_read_is_not_missed(self, start: Open, tenant: Tenant) -> None:
        """The budgets are read, then the reading is held up while they change: the call that waits sees the new
        ones."""
        catalog = await start()
        with owner_connection() as other:
            other.execute("LOCK TABLE tenants_enduser IN ACCESS EXCLUSIVE MODE")
            loading = asyncio.create_task(catalog.get_org(tenant.org_id))

            async def is_held_up() -> bool:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tenants_enduser'::regclass"
                return other.execute(waiting).fetchone() == (1,)

            await within_a_second(is_held_up)
            await in_thread(lambda: set_limit(tenant, 5))
            version = int(client().hget(keyspace.VERSIONS, tenant.org_id) or 0)

            async def has_heard() -> bool:
                return catalog._versions.get(tenant.org_id) == version

            await within_a_second(has_heard)
        assert (await loading).budgets[0].limit_nanos == 5


class TestUnknown:
    async def test_it_is_asked_for_once_and_remembered_until_something_changes(
        self, start: Open, tenant: Tenant
    ) -> None:
        catalog = await start()
        made = secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER)
        with watched(NewKeys.find) as first:
            assert await is_refused(catalog, made.text)
        assert first
        assert made.digest in catalog._unknown
        with watched(NewKeys.find) as second:
            assert await is_refused(catalog, made.text)
        assert second == []

        def restore() -> None:
            """A key that comes into being under a secret which somebody has tried already."""
            with org_scope(tenant.org_id):
                ApiKey(
                    org=tenant.org, project=tenant.project, name="restored", prefix=made.prefix, digest=made.digest
                ).save(force_insert=True)
                publish(tenant.org)

        await in_thread(restore)

        async def is_known() -> bool:
            return not await is_refused(catalog, made.text)

        await within_a_second(is_known)

    async def test_it_is_not_believed_for_long(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_UNKNOWN_FOR_NS", 0)
        catalog = await start()
        made = secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER)
        assert await is_refused(catalog, made.text)

        def restore() -> None:
            """And its announcement is lost."""
            with org_scope(tenant.org_id):
                ApiKey(
                    org=tenant.org, project=tenant.project, name="restored", prefix=made.prefix, digest=made.digest
                ).save(force_insert=True)

        await in_thread(restore)
        assert not await is_refused(catalog, made.text)

    async def test_many_at_once_are_asked_for_together(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def count(digests: list[bytes]) -> set[bytes]:
            asked.append(len(digests))
            return find_known_keys(digests)

        monkeypatch.setattr(new_keys, "find_known_keys", count)
        catalog = await start()
        unknown = [secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER).text for _ in range(300)]
        outcomes = await asyncio.gather(*(is_refused(catalog, one) for one in (*unknown, tenant.api_key)))
        assert outcomes == [True] * 300 + [False]
        assert sum(asked) == 301
        assert len(asked) <= 3

    async def test_more_than_can_wait_are_told_to_come_again(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And those whose key is known are served meanwhile, with what changes, though no look-up is answered."""
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)
        monkeypatch.setattr(new_keys, "MOST_A_BATCH", 3)
        monkeypatch.setattr(new_keys, "MOST_WAITING", 5)
        held = Event()
        monkeypatch.setattr(new_keys, "find_known_keys", lambda digests: held.wait(PATIENCE_SECONDS) and set())
        calls = [
            asyncio.create_task(
                auth(catalog).authenticate(secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER).text)
            )
            for _ in range(20)
        ]
        await in_thread(lambda: set_limit(tenant, 5))
        await within_a_second(lambda: limit_is(catalog, tenant, 5))
        assert not await is_refused(catalog, tenant.api_key)
        held.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, GovernanceUnavailable)]
        assert [type(one) for one in outcomes if one not in refused] == [Unauthorized] * (20 - len(refused))
        assert len(refused) == 20 - 5
        assert {(one.status, one.headers["retry-after"]) for one in refused} == {(503, "1")}

    async def test_guessing_does_not_fill_the_memory(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MAX_UNKNOWN", 50)
        catalog = await start()
        for _ in range(120):
            assert await is_refused(catalog, secrets.make_secret(secrets.API_KEY, settings.KEY_PEPPER).text)
            assert len(catalog._unknown) <= 50
        assert (len(catalog._keys), catalog._loading) == (0, {})

    async def test_what_is_known_has_a_bound(
        self, start: Open, committed_world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two tenants that take turns, one at a time has room: both are served, the other one's is read again."""
        monkeypatch.setattr(module, "MOST_BYTES_OF_KEYS", 1)
        monkeypatch.setattr(module, "MOST_BYTES_OF_ORGS", 1)
        catalog = await start()
        for tenant in [committed_world.acme, committed_world.mallcorp] * 2:
            key, org = await auth(catalog).authenticate(tenant.api_key)
            assert (key.org_id, org.id) == (tenant.org_id, tenant.org_id)
            assert [name for name, _ in catalog._orgs.items()] == [tenant.org_id]
            assert [key.org_id for _, key in catalog._keys.items()] == [tenant.org_id]

    async def test_what_is_no_key_is_refused_without_asking(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        catalog = await start()
        postgresql_is_away()
        for nonsense in ("", "chk_", "sk-0123", tenant.api_key[:-1], tenant.api_key[:-1] + "~", tenant.admin_token):
            assert await is_refused(catalog, nonsense)


class TestPostgresqlAway:
    async def test_a_key_in_memory_works_on(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        catalog = await start()
        await auth(catalog).authenticate(tenant.api_key)
        postgresql_is_away()
        key, org = await auth(catalog).authenticate(tenant.api_key)
        assert (key.id, org.id) == (str(tenant.key.pk), tenant.org_id)

    async def test_a_new_process_lives_on_what_others_left_in_valkey(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        await auth(await start()).authenticate(tenant.api_key)
        postgresql_is_away()
        key, org = await auth(await start()).authenticate(tenant.api_key)
        assert (key.id, org.id) == (str(tenant.key.pk), tenant.org_id)

    async def test_an_unknown_key_is_not_called_wrong(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        catalog = await start()
        postgresql_is_away()
        with pytest.raises(GovernanceUnavailable) as caught:
            await auth(catalog).authenticate(tenant.api_key)
        assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})

    async def test_what_was_known_last_is_better_than_nothing(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        catalog = await start()
        org = await catalog.get_org(tenant.org_id)
        await in_thread(lambda: set_limit(tenant, 5))
        # A process that has not read the change when PostgreSQL goes: its connection is closed with it.
        await catalog._in_thread(connections.close_all)
        postgresql_is_away()
        client().delete(keyspace.org_snapshot_key(tenant.org_id))
        assert await catalog.get_org(tenant.org_id) == org

    async def test_what_was_known_before_a_stop_is_not_made_do_with(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        listening = [await start() for _ in range(2)]
        for catalog in listening:
            await catalog.get_org(tenant.org_id)
        org = listening[0]._orgs.get(tenant.org_id)
        assert org is not None

        def stop() -> None:
            with org_scope(tenant.org_id):
                set_stopped(actor=tenant.owner, target=tenant.key, is_stopped=True)

        await in_thread(stop)
        # Whoever subscribes only later learns of the stop when it catches up.
        listening.append(await start())
        listening[-1]._orgs.put(tenant.org_id, org, 1)
        for catalog in listening:
            await catalog._in_thread(connections.close_all)
        postgresql_is_away()
        client().delete(keyspace.org_snapshot_key(tenant.org_id))
        for catalog in listening:
            await within_a_second(lambda catalog=catalog: is_closed(catalog, tenant))  # type: ignore[misc]
        # Whoever hears of it has nothing left in memory of before it: it may have been an erasure.
        assert [catalog._orgs.get(tenant.org_id) for catalog in listening[:2]] == [None, None]

    @pytest.mark.parametrize("what", ["limit", "end_user", "lost"])
    async def test_only_what_may_stop_calls_closes(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None], what: str
    ) -> None:
        """An end user who is blocked, and a change of which nobody knows what it was; a limit is no stop."""
        catalog = await start()
        await catalog.get_org(tenant.org_id)

        def change() -> None:
            if what == "limit":
                set_limit(tenant, 5)
                return
            with org_scope(tenant.org_id):
                if what == "end_user":
                    create_end_user(actor=tenant.owner, external_id="eve", is_blocked=True)
                    return
                Organization.objects.filter(pk=tenant.org.pk).update(version=F("version") + 1)
            sync_versions()

        await in_thread(change)
        version = int(client().hget(keyspace.VERSIONS, tenant.org_id) or 0)

        async def has_heard() -> bool:
            return catalog._versions.get(tenant.org_id) == version

        await within_a_second(has_heard)
        await catalog._in_thread(connections.close_all)
        postgresql_is_away()
        client().delete(keyspace.org_snapshot_key(tenant.org_id))
        assert await is_closed(catalog, tenant) is (what != "limit")

    async def test_a_model_that_may_be_new_is_not_called_unknown(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None]
    ) -> None:
        catalog = await start()
        key, org = await auth(catalog).authenticate(tenant.api_key)
        with pytest.raises(ModelNotFound):
            find_model("new", key, org)
        await in_thread(lambda: set_limit(tenant, 5))
        await catalog._in_thread(connections.close_all)
        postgresql_is_away()
        client().delete(keyspace.org_snapshot_key(tenant.org_id))

        async def is_outdated() -> bool:
            return (await catalog.get_org(tenant.org_id)).is_outdated

        await within_a_second(is_outdated)
        outdated = await catalog.get_org(tenant.org_id)
        assert find_model("small", key, outdated).name == "small"
        with pytest.raises(GovernanceUnavailable) as caught:
            find_model("new", key, outdated)
        assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})

    async def test_one_that_hangs_is_away_in_time_and_back_when_it_is(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DATABASE_SECONDS", 0.2)
        catalog = await start()
        with owner_connection() as other:
            other.execute("LOCK TABLE tenants_apikey IN ACCESS EXCLUSIVE MODE")
            # The lock is held until after the answer: without a deadline this would wait for ever.
            with pytest.raises(GovernanceUnavailable):
                await auth(catalog).authenticate(tenant.api_key)
        monkeypatch.setattr(module, "DATABASE_SECONDS", PATIENCE_SECONDS)
        catalog._new_keys._database_seconds = PATIENCE_SECONDS
        key, _ = await auth(catalog).authenticate(tenant.api_key)
        assert key.id == str(tenant.key.pk)


class TestValkeyAway:
    async def test_keys_are_read_from_postgresql(self, start: Open, tenant: Tenant) -> None:
        catalog = await start(f"redis://127.0.0.1:{find_free_port()}/0")
        key, org = await auth(catalog).authenticate(tenant.api_key)
        assert (key.id, org.id) == (str(tenant.key.pk), tenant.org_id)

    async def test_a_stop_is_read_from_postgresql_within_a_second(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As where the one master of a cluster is gone that has the versions: calls of the others' shards go on."""
        catalog = await start(f"redis://127.0.0.1:{find_free_port()}/0")
        before = await catalog.get_org(tenant.org_id)
        assert not before.is_stopped

        def stop() -> None:
            with org_scope(tenant.org_id):
                set_stopped(actor=tenant.owner, target=tenant.org, is_stopped=True)

        await in_thread(stop)
        now = clock.monotonic_ns() + 1_000_000_000
        monkeypatch.setattr(clock, "monotonic_ns", lambda: now)
        after = await catalog.get_org(tenant.org_id)
        assert (after.is_stopped, after.version) == (True, before.version + 1)

    async def test_an_organisation_that_is_gone_is_not_served_from_memory(
        self, start: Open, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = await start(f"redis://127.0.0.1:{find_free_port()}/0")
        now = clock.monotonic_ns()
        monkeypatch.setattr(clock, "monotonic_ns", lambda: now)
        await auth(catalog).authenticate(tenant.api_key)
        monkeypatch.setattr(module, "load_org_version", lambda _: None)
        now += 1_000_000_000
        for _ in range(2):
            with pytest.raises(GovernanceUnavailable):
                await auth(catalog).authenticate(tenant.api_key)

    async def test_nor_is_what_was_known_used_where_postgresql_is_away_too(
        self, start: Open, tenant: Tenant, postgresql_is_away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        catalog = await start(f"redis://127.0.0.1:{find_free_port()}/0")
        now = clock.monotonic_ns()
        monkeypatch.setattr(clock, "monotonic_ns", lambda: now)
        await auth(catalog).authenticate(tenant.api_key)
        await catalog._in_thread(connections.close_all)
        postgresql_is_away()
        # What PostgreSQL has told is good for a second.
        await auth(catalog).authenticate(tenant.api_key)
        now += 1_000_000_000
        with pytest.raises(GovernanceUnavailable) as caught:
            await auth(catalog).authenticate(tenant.api_key)
        assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})


class TestTogether:
    async def test_many_calls_that_miss_the_same_key_read_it_once(self, start: Open, tenant: Tenant) -> None:
        catalog = await start()
        with owner_connection() as other:
            other.execute("LOCK TABLE tenants_apikey IN ACCESS EXCLUSIVE MODE")
            calls = [asyncio.create_task(auth(catalog).authenticate(tenant.api_key)) for _ in range(50)]
            await asyncio.sleep(0)
            assert len(catalog._loading) == 1
            calls[0].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert {answer[0].id for answer in answers[1:]} == {str(tenant.key.pk)}  # type: ignore[index]


def owner_connection() -> psycopg.Connection[Any]:
    """A connection of the owner of the tables, in a transaction that ends with the block."""
    owner = settings.DATABASES["owner"]
    return psycopg.connect(
        host=owner["HOST"], port=owner["PORT"], user=owner["USER"], password=owner["PASSWORD"], dbname=owner["NAME"]
    )


async def is_closed(catalog: Catalog, tenant: Tenant) -> bool:
    try:
        await catalog.get_org(tenant.org_id)
    except GovernanceUnavailable:
        return True
    return False


def set_price(tenant: Tenant, usd: str) -> None:
    with org_scope(tenant.org_id):
        model = LanguageModel.objects.get(org=tenant.org)
        create_price(actor=tenant.owner, model=model, input_per_million=Decimal(usd), output_per_million=Decimal(usd))


def set_limit(tenant: Tenant, nanos: int) -> None:
    with org_scope(tenant.org_id):
        update_budget(actor=tenant.owner, budget=Budget.objects.get(org=tenant.org), limit_nanos=Nanos(nanos))


def own_subscriptions() -> list[str]:
    """The addresses of this process's subscriptions: tests beside this one have theirs."""
    own = {connection.laddr.port for connection in psutil.Process().net_connections("tcp") if connection.laddr}
    listed = client().client_list(_type="pubsub")
    return [one["addr"] for one in listed if int(one["addr"].rpartition(":")[2]) in own]


def change_while_nobody_listens(tenant: Tenant, nanos: int) -> None:
    with org_scope(tenant.org_id):
        Budget.objects.filter(org=tenant.org).update(limit_nanos=nanos)
        Organization.objects.filter(pk=tenant.org.pk).update(version=F("version") + 1)
        tenant.org.refresh_from_db()
    pipe = client().pipeline(transaction=True)
    for address in own_subscriptions():
        pipe.client_kill_filter(addr=address)
    pipe.hset(keyspace.VERSIONS, tenant.org_id, tenant.org.version)
    pipe.execute()


async def limit_is(catalog: Catalog, tenant: Tenant, nanos: int) -> bool:
    return (await catalog.get_org(tenant.org_id)).budgets[0].limit_nanos == nanos
