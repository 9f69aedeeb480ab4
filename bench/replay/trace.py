"""The recorded calls, and who makes each in the replay.

The trace has moments and token counts. Keys, models, end users and tags are dealt out at random with a fixed seed, so
that every run makes the same calls.
"""

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

SEED: Final = 20231116
#: nano-USD a token of input and of output
PRICES: Final = {"small": (150, 600), "large": (2_500, 10_000)}
#: key -> (its project, its share of the calls, per cent of its calls that go to the large model)
KEYS: Final = {
    "support-web": ("support", 25, 30),
    "support-app": ("support", 20, 10),
    "search-api": ("search", 20, 40),
    "search-internal": ("search", 10, 25),
    "batch-nightly": ("batch", 10, 50),
    "batch-agent": ("batch", 15, 0),
}
#: from this share of the trace on, this key calls the large model and lets it write so many times as much
PLANTED_KEY: Final = "batch-agent"
PLANTED_FROM: Final = 0.6
PLANTED_TIMES: Final = 4
END_USERS: Final = 300
TEAMS: Final = ("red", "blue", "green")
MOST_OUTPUT: Final = 4_096
#: what a chat of one message adds to its words, by the bank's rule
TEMPLATE_TOKENS: Final = 6
#: one call in a thousand asks for a model without a price, and one comes with a key that nobody knows
EVERY: Final = 1_000
UNPRICED: Final = "unpriced"


@dataclass(frozen=True, slots=True)
class TraceCall:
    """One call: ``at`` is seconds since the first one; an empty ``key`` is one that nobody knows."""

    number: int
    at: float
    key: str
    model: str
    end_user: str
    tags: dict[str, str] = field(hash=False)
    input_tokens: int
    output_tokens: int
    max_tokens: int
    is_stream: bool
    is_planted: bool

    @property
    def cost(self) -> int:
        """Nano-USD, if it is served as it was asked for."""
        return cost_of(self.model, self.input_tokens, self.output_tokens)

    @property
    def usual_cost(self) -> int:
        """What it would cost without what was planted."""
        return cost_of("small", self.input_tokens, self.usual_output) if self.is_planted else self.cost

    @property
    def usual_output(self) -> int:
        """Output tokens without what was planted."""
        return self.output_tokens // PLANTED_TIMES if self.is_planted else self.output_tokens


def cost_of(model: str, input_tokens: int, output_tokens: int) -> int:
    """Nano-USD at our prices; nothing for a model without one."""
    per_input, per_output = PRICES.get(model, (0, 0))
    return input_tokens * per_input + output_tokens * per_output


def read_trace(path: Path, most: int | None = None) -> list[TraceCall]:
    """The calls in order of arrival, ``most`` at most.

    Raises OSError, and ValueError for a file without the columns TIMESTAMP, ContextTokens and GeneratedTokens.
    """
    with path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"TIMESTAMP", "ContextTokens", "GeneratedTokens"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path.name} has no columns TIMESTAMP, ContextTokens and GeneratedTokens")
        rows = [
            (_read_moment(row["TIMESTAMP"]), int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in reader
        ][:most]
    first, last = rows[0][0], rows[-1][0]
    planted_from = (last - first).total_seconds() * PLANTED_FROM
    dice = random.Random(SEED)
    return [
        _deal(dice, number, (at - first).total_seconds(), tokens, planted_from)
        for number, (at, *tokens) in enumerate(rows)
    ]


def find_peak(calls: Sequence[TraceCall], seconds: float, weigh: Callable[[TraceCall], int], speed: float) -> int:
    """The most that lies within so many seconds of the replay, if all calls are served."""
    most = total = first = 0
    for call in calls:
        total += weigh(call)
        while (call.at - calls[first].at) / speed >= seconds:
            total -= weigh(calls[first])
            first += 1
        most = max(most, total)
    return most


def _read_moment(text: str) -> datetime:
    # Seven places behind the point: one more than a datetime has.
    return datetime.fromisoformat(text[:26])


def _deal(dice: random.Random, number: int, at: float, tokens: Sequence[int], planted_from: float) -> TraceCall:
    [key] = dice.choices(list(KEYS), [share for _, share, _ in KEYS.values()])
    project, _, large = KEYS[key]
    model = "large" if dice.random() * 100 < large else "small"
    # Few users make many of the calls. Jobs have none.
    [rank] = dice.choices(range(END_USERS), [1 / (place + 3) for place in range(END_USERS)])
    tags = {"team": dice.choice(TEAMS)} if dice.random() < 0.8 else {}
    is_stream = dice.random() < 0.3
    is_planted = key == PLANTED_KEY and at >= planted_from
    output = tokens[1] * (PLANTED_TIMES if is_planted else 1)
    if number % EVERY == EVERY // 4:
        model = UNPRICED
    if number % EVERY == EVERY // 2:
        key, is_planted = "", False
    return TraceCall(
        number=number,
        at=at,
        key=key,
        model="large" if is_planted and model != UNPRICED else model,
        end_user="" if project == "batch" else f"user-{rank:03}",
        tags=tags,
        input_tokens=max(tokens[0], TEMPLATE_TOKENS + 1),
        output_tokens=min(output, MOST_OUTPUT),
        max_tokens=_round_up(min(output, MOST_OUTPUT)),
        is_stream=is_stream,
        is_planted=is_planted,
    )


def _round_up(tokens: int) -> int:
    """What a caller would have set for an answer of so many tokens."""
    return next(limit for limit in (256, 512, 1024, 2048, MOST_OUTPUT) if limit >= tokens)
