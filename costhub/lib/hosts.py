"""Which names this installation goes by, and who may ask it by another.

A probe of Kubernetes or a load balancer's asks an address, and Prometheus asks a pod: none of them knows the name that
people type. What they are told depends on no name, so these paths are answered whatever ``Host`` says.
"""

from typing import Final

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

#: what is asked by programs that know an address and no name
NAMELESS_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class HostsMiddleware(CommonMiddleware):
    """Django's, which refuses a request by a name that is not ours, but for what is asked without one."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Look at the name that was asked."""
        return None if request.path_info in NAMELESS_PATHS else super().process_request(request)
