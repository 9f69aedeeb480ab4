"""For whoever left /v1 out of the base URL of a client: what to do, in the shape that clients read errors in."""

from typing import Final

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

#: what clients of OpenAI and Anthropic ask for below their base URL
PATHS: Final = (
    "audio",
    "batches",
    "chat/completions",
    "completions",
    "embeddings",
    "files",
    "images",
    "messages",
    "models",
    "moderations",
    "responses",
)


@csrf_exempt
def add_v1(request: HttpRequest) -> JsonResponse:
    """404 with a sentence."""
    base = request.build_absolute_uri("/v1")
    error = {
        "message": f"There is nothing at {request.path[:100]}. Give your client the base URL {base}: it ends in /v1.",
        "type": "invalid_request_error",
        "param": "base_url",
        "code": "missing_v1",
    }
    return JsonResponse({"error": error}, status=404)
