"""What an upstream's wire format is to the rest of a call: the shape of the pure modules in ``proxy.upstreams``."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from proxy.values.attempt import Certainty, Usage
from proxy.values.request import Operation, Request, Unsaid, Wire
from proxy.values.text_run import TextRun
from tenants.choices import Habit
from tenants.snapshots import UpstreamSnapshot

MAX_MESSAGE: Final = 2_000
MAX_CODE: Final = 100
MAX_PARAM: Final = 200


class NotAnAnswer(Exception):
    """What came is not what the API promises: not JSON, not an object, or a refusal in a 200's clothes."""


def clean(text: str) -> str:
    """A word of an upstream's as rows and answers can carry it: half characters, which some servers escape where they
    cut a text, are in no UTF-8, and a NUL is in no text of PostgreSQL."""
    return text.replace("\0", "") if text.isascii() else text.replace("\0", "").encode("utf-8", "replace").decode()


class Refusal(NamedTuple):
    """What an upstream's error says: nothing where it has no words.

    ``status`` is the HTTP status that it names, else 0; ``pause_seconds`` when to come again.
    """

    message: str = ""
    code: str = ""
    param: str | None = None
    status: int = 0
    pause_seconds: float | None = None

    def shortened(self) -> "Refusal":
        """The same, no longer than it is kept and shown. Secrets were hidden in what came, before anything was read."""
        return self._replace(
            message=clean(self.message)[:MAX_MESSAGE],
            code=clean(self.code)[:MAX_CODE],
            param=None if self.param is None else clean(self.param)[:MAX_PARAM],
        )


class Report(NamedTuple):
    """What an upstream says that it used, and why that may not be exact: the name of a doubt.

    What is not ``has_input`` or not ``has_output`` it did not tell.
    """

    usage: Usage
    doubt: str = ""
    has_input: bool = True
    has_output: bool = True


@dataclass(frozen=True, slots=True)
class Habits:
    """How a request is written.

    ``output_limit`` is the field of our own limit, ``keeps_place`` leaves it where the caller has put one;
    ``stream_options`` asks for the usage of a stream, ``stream_false`` says that none is wanted; ``logprobs`` asks for
    the probabilities of a judged answer's tokens.
    """

    output_limit: str
    keeps_place: bool
    stream_options: bool
    stream_false: bool
    logprobs: bool = True
    #: Responses are asked for in their own form; an output limit must be there; what cannot be said is left out
    responses: bool = False
    needs_limit: bool = False
    drop_unknown: bool = False


class AnswerReader(Protocol):
    """Reads one answer, whole or event by event, and remembers what must be paid for."""

    @property
    def report(self) -> Report | None:
        """What the upstream reported, if it said anything."""

    @property
    def doubt(self) -> str:
        """Why what the upstream reported is no exact account of this answer; empty where it is one."""

    @property
    def model(self) -> str:
        """The model that says it answered."""

    @property
    def service_tier(self) -> str:
        """The service tier that says it answered; empty where nothing is said."""

    @property
    def finish_reason(self) -> str:
        """Why it ended."""

    @property
    def texts(self) -> Sequence[str]:
        """What was produced, for us to count where nothing is reported."""

    @property
    def is_countable(self) -> bool:
        """Whether the tokens of ``texts`` are those that were produced, and not just more, or fewer."""

    @property
    def hides(self) -> bool:
        """Whether something was produced that no text tells: sound, a picture, thoughts that were kept back."""

    refusal: Refusal | None
    """The refusal that came in an answer's clothes."""

    @property
    def closing(self) -> bytes:
        """The event that only reports usage, kept back for the caller until the cost is known; empty without one."""

    @property
    def run(self) -> TextRun | None:
        """The texts of a chat that were found together in what ``read_part`` has given last: who translates it need not
        look for them again."""

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has said why it ended."""

    @property
    def ended(self) -> set[int]:
        """The choices that have."""

    @property
    def certainty(self) -> Certainty:
        """EXACT where the upstream reported what it used, COUNTED where we must count."""

    def read_answer(self, raw: bytes) -> bytes:
        """A whole answer, in the form in which the caller's side takes it. Raises NotAnAnswer."""

    def read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        """Some events of a stream: what of them the caller gets now, and whether the stream is done.

        Nothing is raised for what cannot be read: it is handed on, and counted. Behind a ``refusal`` nothing comes.
        """

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """What was left without a blank line when the upstream closed: an event, or half of one, which nobody gets."""


class Vendor(Protocol):
    """An upstream's wire format."""

    def is_at_home(self, request: Request) -> bool:
        """Whether all that a chat can say can be said to this upstream, whatever it is."""

    def choose_wire(self, request: Request, habits: Habits) -> Wire:
        """In which form a request goes out, and its answer comes back to the caller's side: the caller's own where the
        upstream speaks it, else OpenAI's chat."""

    def find_path(self, operation: Operation, wire: Wire) -> str | None:
        """The path of an operation below the upstream's base URL; None where the upstream does not offer it."""

    def find_unsaid(self, request: Request, wire: Wire) -> Unsaid:
        """What of a request cannot be said to this upstream."""

    def make_reader(self, request: Request, wire: Wire, at_ms: int) -> AnswerReader:
        """A reader for the answer to a request, which came at a moment."""

    def find_habits(self, upstream: UpstreamSnapshot, model: str, learned: Set[Habit]) -> Habits:
        """How a request to a model of an upstream is written; ``learned`` is what it has refused so far."""

    def encode_request(self, request: Request, upstream_model: str, *, habits: Habits, max_output: int | None) -> bytes:
        """The body that asks a model, without what cannot be said, and with our output limit where there is one."""

    def learn(
        self,
        refusal: Refusal,
        status: int,
        request: Request,
        upstream: UpstreamSnapshot,
        habits: Habits,
        *,
        is_capped: bool,
    ) -> Habit | None:
        """The habit that a refusal speaks of: something that we have written and the caller has not."""

    def read_pause(self, header: Callable[[str], str | None], now_ms: int) -> float | None:
        """After how many seconds an answer's headers ask us to come again."""

    def read_refusal(self, raw: bytes) -> Refusal:
        """What an error's body says."""

    def find_refusal(self, raw: bytes) -> Refusal | None:
        """The refusal in an answer of status 200, or None if it is none."""

    def as_stream(self, raw: bytes) -> bytes:
        """A whole answer as the events of a stream. Raises NotAnAnswer."""

    def normalise_usage(self, reported: dict[str, Any]) -> Usage | None:
        """A usage report in disjoint classes; None where it says nothing that can be true."""
