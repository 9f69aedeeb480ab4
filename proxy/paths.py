"""What there is below /v1 beside calls that reach an upstream: what is asked about them, and about what they left."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from proxy import estimates, feedback, queries, request_detail, stored, token_counts
from proxy.batches import background
from proxy.call import Call
from proxy.errors import InvalidRequest, MethodNotAllowed, NotFound
from proxy.wiring import Edges

Json = dict[str, Any]
Query = Mapping[str, list[str]]
#: a call, the edges, what stands in the place of ``{}``, and the query
Handler = Callable[[Call, Edges, str, Query], Awaitable[Json]]

_MOST_QUERY_FIELDS: Final = 100


class Path(NamedTuple):
    """A method, the parts of a path, and what answers it. ``{}`` stands for an id, ``*`` for the rest of the path."""

    method: str
    parts: tuple[str, ...]
    handler: Handler


def _path(method: str, template: str, handler: Handler) -> Path:
    return Path(method, tuple(template.split("/")), handler)


async def _list_models(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await queries.list_models(call, edges)


async def _get_model(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await queries.get_model(call, edges, name)


async def _estimate(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await estimates.estimate(call, edges, query.get("endpoint", [""])[0])


async def _show_budget(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await queries.show_budget(call, edges, query.get("end_user", [""])[0])


async def _show_request(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await request_detail.show_request(call, edges, name)


async def _give_feedback(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await feedback.give_feedback(call, edges, name)


async def _count_message(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await token_counts.count_message(call, edges)


async def _count_response(call: Call, edges: Edges, name: str, query: Query) -> Json:
    return await token_counts.count_response(call, edges)


async def _no_realtime(call: Call, edges: Edges, name: str, query: Query) -> Json:
    raise NotFound(
        "There is no realtime API here: calls over WebSockets cannot be held to a budget. Use /v1/chat/completions or"
        " /v1/responses.",
        code="realtime_not_served",
    )


#: what the vendors have below these paths and there is not here, and what does the same
_ELSEWHERE: Final[Mapping[str, str]] = {
    "agents": "Agents run in your own program: it calls /v1/responses or /v1/chat/completions.",
    "assistants": "Assistants are not served: call /v1/responses, where previous_response_id goes on with what was said.",
    "audio/voice_consents": "Voices of your own are made at the provider: name one in /v1/audio/speech.",
    "audio/voices": "Voices of your own are made at the provider: name one in /v1/audio/speech.",
    "chatkit": "ChatKit is not served: it runs at OpenAI, where no budget of yours holds it.",
    "complete": "Anthropic's older completions are not served: call /v1/messages.",
    "containers": "Containers are not served: what they cost cannot be bounded before they run.",
    "conversations": (
        "Conversations are not kept: /v1/responses goes on with what was said by previous_response_id, or takes all of"
        " it as input."
    ),
    "decisions": (
        "Decisions are not served: ask each question with /v1/chat/completions or /v1/responses, and a schema for its"
        " answer."
    ),
    "edits": "Edits are not served: ask for them with /v1/chat/completions or /v1/responses.",
    "engines": "Engines are models: see /v1/models, and name one as model in the body.",
    "evals": "Evals are not served: what a call was worth is said at POST /v1/costhub/requests/{id}/feedback.",
    "fine_tuning": (
        "Fine-tuning goes by the management API: POST /api/v1/datasets, and POST /api/v1/provider-tunings for a"
        " provider's."
    ),
    "live": "There is no live API here: use /v1/chat/completions or /v1/responses.",
    "memory_stores": "Memories are not kept: put what is to be remembered into the messages of a call.",
    "organization": "Projects, keys, budgets and spend are in the management API, below /api/v1, with an admin token.",
    "organizations": "Projects, keys, budgets and spend are in the management API, below /api/v1, with an admin token.",
    "projects": "Projects, keys, budgets and spend are in the management API, below /api/v1, with an admin token.",
    "sessions": "Agents run in your own program: it calls /v1/messages.",
    "skills": "Skills are not served: put what they say into the instructions of a call.",
    "threads": "Threads are not served: call /v1/responses, where previous_response_id goes on with what was said.",
    "uploads": "Uploads in parts are not served: POST /v1/files takes a whole file.",
    "vector_stores": "Vector stores are not served: /v1/embeddings makes the vectors for a store of your own.",
    "videos": "Videos are not served: what they cost cannot be bounded before they are made.",
    "webhook_endpoints": "Webhooks are channels of the management API: POST /api/v1/channels.",
}

_PATHS: Final = (
    _path("GET", "models", _list_models),
    _path("GET", "models/*", _get_model),
    _path("POST", "messages/count_tokens", _count_message),
    _path("POST", "responses/input_tokens", _count_response),
    _path("GET", "responses/{}", background.show_response),
    _path("DELETE", "responses/{}", background.delete_response),
    _path("POST", "responses/{}/cancel", background.cancel_response),
    _path("GET", "responses/{}/input_items", background.list_input_items),
    _path("GET", "chat/completions", stored.list_completions),
    _path("GET", "chat/completions/{}", stored.show_completion),
    _path("POST", "chat/completions/{}", stored.update_completion),
    _path("DELETE", "chat/completions/{}", stored.delete_completion),
    _path("GET", "chat/completions/{}/messages", stored.list_messages),
    _path("POST", "costhub/estimate", _estimate),
    _path("GET", "costhub/budget", _show_budget),
    _path("GET", "costhub/requests/{}", _show_request),
    _path("POST", "costhub/requests/{}/feedback", _give_feedback),
    _path("GET", "realtime", _no_realtime),
    _path("POST", "realtime/*", _no_realtime),
)


async def answer_query(call: Call, edges: Edges, method: str, path: str, query_string: bytes) -> Json:
    """What a path below /v1 answers. Raises NotFound, InvalidRequest, and MethodNotAllowed with the methods that
    there are."""
    if "\0" in path:
        # In no id, and in no text of PostgreSQL's.
        raise NotFound("There is nothing at a path with a NUL in it.", code="unknown_url")
    parts = path.split("/")
    found = [(one, name) for one in _PATHS if (name := _match(one.parts, parts)) is not None]
    if not found:
        where = _ELSEWHERE.get(parts[0]) or _ELSEWHERE.get("/".join(parts[:2]))
        told = f"There is nothing at /v1/{path[:200]}."
        if where is not None:
            raise NotFound(f"{told} {where}", code="not_served")
        raise NotFound(told, code="unknown_url")
    for one, name in found:
        if one.method == method:
            return await one.handler(call, edges, name, _read_query(query_string))
    allowed = ", ".join(dict.fromkeys(one.method for one, _ in found))
    raise MethodNotAllowed(f"Use {allowed} for /v1/{path[:200]}.", headers={"allow": allowed})


def _match(template: tuple[str, ...], parts: list[str]) -> str | None:
    """What a path has in the place of the id, empty where the pattern has none; None where the path does not match."""
    if template[-1] == "*":
        before = len(template) - 1
        return "/".join(parts[before:]) or None if tuple(parts[:before]) == template[:-1] else None
    if len(parts) != len(template):
        return None
    name = ""
    for wanted, part in zip(template, parts, strict=True):
        if wanted == "{}":
            if not part:
                return None
            name = part
        elif wanted != part:
            return None
    return name


def _read_query(query_string: bytes) -> Query:
    try:
        query = parse_qs(query_string.decode("latin-1"), max_num_fields=_MOST_QUERY_FIELDS)
    except ValueError:
        return {}
    for name, values in query.items():
        if "\0" in name or any("\0" in value for value in values):
            raise InvalidRequest(
                "The query holds a NUL, which no text may: leave it out.", param=name.replace("\0", "")
            )
    return query
