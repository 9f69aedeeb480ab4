"""Shorter words for a system prompt, as a proposal, and what their versions did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

from proxy.core.compression.system_prompt import distil
from proxy.core.tokens import count_text
from tenants.access import Actor
from tenants.choices import Permission, PromptState, Tokenizer
from tenants.models import SystemPrompt
from tenants.selectors import list_system_prompts

_SHOWN: Final = 50
_USED: Final = """
    SELECT substring(route_reason FROM 'system prompt ([0-9a-f]{8} v[0-9]+)'), count(*),
           coalesce(sum((savings->>'compression')::bigint), 0)::bigint
    FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND status BETWEEN 200 AND 399
      AND route_reason LIKE '%%compress%%' AND route_reason LIKE '%%system prompt %%compressed'
    GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Shorter words, what they leave out, and the tokens of both by OpenAI's vocabulary."""

    text: str
    dropped: tuple[str, ...]
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class PromptUse:
    """A version, its tokens, the calls that were sent with it, and the nano-USD that compression saved them."""

    row: SystemPrompt
    tokens_before: int
    tokens_after: int
    calls: int
    saved: int

    @property
    def is_open(self) -> bool:
        """Whether somebody may still approve it: a version that was retired may come back."""
        return self.row.state != PromptState.APPROVED


def preview(text: str) -> Proposal:
    """What a system prompt says without what does not instruct. Nothing is kept or applied."""
    found = distil(text)
    return Proposal(found.text, found.dropped, _count(text), _count(found.text))


def list_prompt_uses(actor: Actor, start: datetime, end: datetime) -> list[PromptUse]:
    """The newest versions, with what they did over ``[start, end)``. Raises Forbidden if the actor may not see
    money."""
    actor.check(Permission.READ_MONEY)
    with connection.cursor() as cursor:
        cursor.execute(_USED, [actor.org.pk, start, end])
        used = {name: (calls, saved) for name, calls, saved in cursor.fetchall()}
    return [
        PromptUse(row, _count(row.original), _count(row.shorter), *used.get(str(row), (0, 0)))
        for row in list_system_prompts(actor)[:_SHOWN]
    ]


def _count(text: str) -> int:
    return count_text(text, Tokenizer.O200K)
