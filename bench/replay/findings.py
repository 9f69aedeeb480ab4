"""What was checked: a line each, and whether it holds."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Findings:
    """Checks in order, with their figures."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def check(self, name: str, holds: bool, sentence: str, **figures: Any) -> None:
        """Note whether something holds, and print it."""
        print(f"{'ok  ' if holds else 'BAD '} {name:<13} {sentence}", flush=True)
        self.figures[name] = {"holds": holds, **figures}
        if not holds:
            self.failed.append(name)
