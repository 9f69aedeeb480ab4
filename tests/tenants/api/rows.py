"""A row of every resource of the management API, for tests that walk over all of it."""

from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.endpoints import register_endpoint
from tenants.models import Membership
from tests.billing.alerts.examples import make_alerts
from tests.billing.invoices.examples import furnish_billing
from tests.proxy.batches.rows import fill_batches
from tests.proxy.cache.rows import fill_cache
from tests.proxy.learning.rows import fill_learning
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.route_examples import fill_routes
from tests.world import World, make_budget, make_catalog, make_rate_limit


def make_rows(world: World) -> dict[str, str]:
    """Acme's rows: the id of one of each resource, by its path."""
    catalog = make_catalog(world.acme)
    with org_scope(world.acme.org.pk):
        server = register_endpoint(
            actor=world.acme.owner, upstream=catalog.upstream, base_url="https://one.acme.example/v1"
        )
        una = create_end_user(actor=world.acme.owner, external_id="una")
        ben = Membership.objects.get(user=world.ben)
    return {
        "members": str(ben.pk),
        "end-users": str(una.pk),
        "projects": str(world.acme.project.pk),
        "keys": str(world.acme.key.pk),
        "upstreams": str(catalog.upstream.pk),
        "upstream-endpoints": str(server.pk),
        "models": str(catalog.model.pk),
        "budgets": str(make_budget(world.acme, "1").pk),
        "rate-limits": str(make_rate_limit(world.acme, 10).pk),
        "batches": str(fill_batches(world.acme)),
        **{resource: row_ids[0] for resource, row_ids in furnish_billing(world.acme).items()},
        **{resource: row_ids[0] for resource, row_ids in make_alerts(world.acme).items()},
        **{resource: row_ids[0] for resource, row_ids in make_account_rows(world.acme).items()},
        **{resource: row_ids[0] for resource, row_ids in fill_cache(world.acme).items()},
        **{resource: row_ids[0] for resource, row_ids in fill_routes(world.acme).items()},
        **{resource: row_ids[0] for resource, row_ids in fill_learning(world.acme).items()},
    }
