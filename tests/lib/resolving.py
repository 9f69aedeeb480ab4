"""DNS servers that answer what a test wants."""


class Answers:
    """A DNS server whose answers change: the last one stays. ``asked`` is every question."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append((host, port))
        return self._answers[min(len(self.asked), len(self._answers)) - 1]
