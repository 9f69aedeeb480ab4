"""What a caller asks for: a parsed body and the controls of its headers."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from proxy.values.form import Form

_NO_TAGS: Final[Mapping[str, str]] = {}


class Operation(StrEnum):
    """What a call has a model do, whatever its path: OpenTelemetry's ``gen_ai.operation.name``."""

    CHAT = "chat"
    COMPLETION = "text_completion"
    EMBEDDING = "embeddings"
    MODERATION = "moderation"
    IMAGE = "image_generation"
    SPEECH = "speech"
    IMAGE_EDIT = "image_edit"
    IMAGE_VARIATION = "image_variation"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"


class Endpoint(StrEnum):
    """The endpoints that reach an upstream, by the path below /v1 that callers know."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    RESPONSES = "responses"
    COMPACTIONS = "responses/compact"
    MODERATIONS = "moderations"
    IMAGES = "images/generations"
    SPEECH = "audio/speech"
    IMAGE_EDITS = "images/edits"
    IMAGE_VARIATIONS = "images/variations"
    TRANSCRIPTIONS = "audio/transcriptions"
    TRANSLATIONS = "audio/translations"


#: what a model does that writes nothing
WITHOUT_OUTPUT: Final = frozenset({Operation.EMBEDDING, Operation.MODERATION, Operation.SPEECH})
#: what is billed by the piece, or not at all
DRAWING: Final = frozenset({Operation.IMAGE, Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION})
LISTENING: Final = frozenset({Operation.TRANSCRIPTION, Operation.TRANSLATION})
#: formats of what was heard that are no JSON, and do not say how long that was
WORDS: Final = ("text", "srt", "vtt")
MEDIA: Final = frozenset({Operation.MODERATION, Operation.SPEECH, *DRAWING, *LISTENING})
#: those whose bodies are forms
FORM_ENDPOINTS: Final = frozenset(
    {Endpoint.IMAGE_EDITS, Endpoint.IMAGE_VARIATIONS, Endpoint.TRANSCRIPTIONS, Endpoint.TRANSLATIONS}
)


class Wire(StrEnum):
    """The formats in which callers ask for a chat, and upstreams answer."""

    CHAT = "chat"  # OpenAI's chat; of its completions and embeddings too
    MESSAGES = "messages"  # Anthropic's Messages
    RESPONSES = "responses"  # OpenAI's Responses


class CacheControl(NamedTuple):
    """What a caller asks of the cache: ``no_cache``, not to be answered from it; ``no_store``, nor to be kept in it;
    ``max_age_seconds``, by what is no older; ``exact_only``, not by an answer to a like question."""

    no_cache: bool = False
    no_store: bool = False
    max_age_seconds: int | None = None
    exact_only: bool = False


_AS_THE_POLICY_SAYS: Final = CacheControl()


class Controls(NamedTuple):
    """What a caller asks of us in headers. ``max_cost`` in nano-USD."""

    tags: Mapping[str, str] = _NO_TAGS
    end_user: str = ""
    max_cost: int | None = None
    idempotency_key: str = ""
    session: str = ""
    cache: CacheControl = _AS_THE_POLICY_SAYS
    # The prompt is sent as it came, whatever a policy says.
    is_uncompressed: bool = False


#: of a call whose headers say nothing
NO_CONTROLS: Final = Controls()


class Unsaid(NamedTuple):
    """What of a request an upstream's format cannot say: ``fields`` that change an answer, by which a call is refused
    unless the tenant has them left out, and ``hints`` that do not, such as where a cache may begin."""

    fields: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


ALL_SAID: Final = Unsaid()


class Original(NamedTuple):
    """A request as its caller wrote it, where that was no chat. ``unsaid`` is what a chat cannot say of it, and
    ``left_out`` how many bytes that has which a model reads all the same, such as earlier thoughts."""

    wire: Wire
    body: dict[str, Any]
    unsaid: Unsaid = ALL_SAID
    left_out: int = 0
    # Its answer is a summary, and given as a compaction.
    is_compacting: bool = False
    # The features of Anthropic's API that a header of the call names, or its body did.
    betas: tuple[str, ...] = ()


#: what a caller of Responses writes into ``include`` who wants the probabilities of an answer's tokens
LOGPROBS_OF_RESPONSES: Final = "message.output_text.logprobs"


class Request(NamedTuple):
    """A parsed body. ``max_output`` is per choice; ``choices`` is how many the upstream will produce and bill.

    ``body`` has the form of OpenAI's chat, whatever the caller wrote; ``original`` is that, where it is another. What
    is counted and bounded is read from ``body``: all that a model reads is in it.
    """

    operation: Operation
    model: str
    body: dict[str, Any]
    body_bytes: int
    is_stream: bool
    wants_usage: bool
    choices: int
    max_output: int | None
    end_user: str
    # Every message is a plain text: no parts, no pictures, no sound.
    is_plain: bool = False
    # The answer is judged before it is given: the probabilities of its tokens are asked for.
    is_judged: bool = False
    # A provider that wants a mark is to keep the prompt in a cache of its own.
    is_marked: bool = False
    # What became of the prompt, in a word, for the ledger's row.
    compression: str = ""
    # Texts that were shortened, as they came and as they are sent.
    shortened: tuple[tuple[str, str], ...] = ()
    # Its tokens before and after that.
    counted: tuple[int, int] = (0, 0)
    original: Original | None = None
    # What came where it was no JSON: ``body`` has its short fields.
    form: Form | None = None
    # It is asked for later, by its id.
    is_background: bool = False
    # So long its files of sound play at most; 0 where nobody has looked.
    sound_seconds: int = 0

    @property
    def is_compacting(self) -> bool:
        """Whether its answer has a form of its own, whoever gives it."""
        return self.original is not None and self.original.is_compacting

    @property
    def wire(self) -> Wire:
        """The format that its caller speaks."""
        return Wire.CHAT if self.original is None else self.original.wire


def wants_logprobs(request: Request, wire: Wire) -> bool:
    """Whether the caller has said something of the probabilities of an answer's tokens, in the form in which it is
    asked for."""
    if wire is Wire.RESPONSES and request.original is not None:
        included = request.original.body.get("include")
        return isinstance(included, list) and LOGPROBS_OF_RESPONSES in included
    return request.body.get("logprobs") is not None
