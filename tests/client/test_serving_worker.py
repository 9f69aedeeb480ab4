"""What a serving worker asks of the real management API; the whole of it is in ``tests/proxy/test_serving.py``."""

from uuid import uuid4

from billing.gpu.models import GpuEndpoint
from costhub.client.serving_worker import Serving, ServingWorker, open_costhub
from proxy.learning.interruptions import Interruption
from tenants.access import org_scope
from tenants.models import UpstreamEndpoint
from tests.world import World, make_catalog


def test_one_whose_lease_ran_out_before_its_hours_were_charged_comes_back(url: str, committed_world: World) -> None:
    acme = committed_world.acme
    catalog = make_catalog(acme, input_per_million="0", output_per_million="0")
    serving = Serving(
        upstream=catalog.upstream.name, base_url="https://one.example/v1", per_hour="4.00", project=acme.project.name
    )
    with open_costhub(url, acme.admin_token) as costhub:
        worker = ServingWorker(serving, costhub, Interruption())
        worker._endpoint = str(uuid4())
        worker._beat()
        worker._beat()
    with org_scope(acme.org.pk):
        server = UpstreamEndpoint.objects.get(org=acme.org)
        charged = GpuEndpoint.objects.get(org=acme.org)
    assert worker._endpoint == str(server.pk)
    assert (charged.server, charged.hour_nanos) == (server.pk, 4_000_000_000)
