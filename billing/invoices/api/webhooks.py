"""/stripe/webhook: Stripe's events, verified and stored before anything is done about them."""

from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.invoices.actions.webhooks import store_event
from billing.invoices.stripe_client import SIGNATURE_HEADER, BadSignature, read_signed
from costhub.lib import clock
from tenants.api.problems import CONTENT_TYPE, make_problem

MAX_BYTES: Final = 512 * 1024


@csrf_exempt
@require_POST
def receive_stripe(request: HttpRequest) -> HttpResponse:
    """Take an event: 200 once it is stored, again or not; 400 for one that is not Stripe's; 404 without Stripe."""
    if not settings.STRIPE_API_KEY:
        return _problem(404, "not_found", "There is no such path.")
    # What was announced need not be what came: a body in chunks announces nothing. The whole of it is within the bound
    # of every path (costhub.bodies).
    body = request.body
    if len(body) > MAX_BYTES:
        return _problem(413, "body_too_large", "The body is larger than any event.")
    try:
        event = read_signed(
            body,
            request.headers.get(SIGNATURE_HEADER),
            secret=settings.STRIPE_WEBHOOK_SECRET,
            now=clock.now(),
            is_live=is_live(settings.STRIPE_API_KEY),
        )
    except BadSignature as error:
        return _problem(error.http_status, error.code, error.message)
    store_event(event, body)
    return HttpResponse(status=200)


def is_live(api_key: str) -> bool:
    """Whether a key of Stripe's is for real money: secret and restricted keys say so."""
    return api_key.startswith(("sk_live_", "rk_live_"))


def _problem(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(make_problem(status, code, detail), status=status, content_type=CONTENT_TYPE)
