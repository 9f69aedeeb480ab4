"""How a mail looks: every colour of a light one has a dark one beside it."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Final

from billing.alerts.channels.mail import make_mail
from billing.alerts.channels.message import Item, Message
from billing.alerts.core.texts import AlertText
from billing.choices import AlertEvent

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
#: these are as well on dark as on light: the button, and the bar that says how grave it is
ANYWHERE: Final = ("background:#4f46e5", "border-left:5px")
DARK: Final = {"around", "card", "text", "quiet", "link"}


class Colours(HTMLParser):
    """The tags that have a colour of their own, and the classes of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, set[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        style = "".join(given.get("style", "").split())
        if "#" in style and not any(each in style for each in ANYWHERE):
            self.found.append((tag, set(given.get("class", "").split())))


def test_whatever_has_a_colour_has_a_dark_one() -> None:
    text = AlertText("Key web used 80 % of the daily budget", (("Spent", "$8.00"),), "At 100 % calls are refused.")
    item = Item(AlertEvent.OPENED, "budget", "warning", text, NOW)
    mail = make_mail(
        Message("1", "Acme", "ada@acme.example", (item,), NOW, page="https://a.example/p", mute="https://a.example/m")
    )
    [(html, _)] = [part for part in mail.alternatives if part[1] == "text/html"]
    assert "prefers-color-scheme: dark" in str(html)
    tags = Colours(str(html)).found
    assert [tag for tag, classes in tags if not classes & DARK] == []
    assert {tag for tag, _ in tags} == {"body", "table", "td", "h1", "p", "a"}
