"""Follows the links of pages, as somebody would who clicks on all of them, and sends no form."""

import re
from collections import Counter, deque
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

from django.urls import Resolver404, resolve

from tests.console.client import Visit

#: of one kind (an address's pattern and its parameters) so many are opened: a list of a thousand rows leads to a
#: thousand pages that are one
MOST_OF_A_KIND = 2


def find_links(html: str, page: str) -> set[str]:
    """Where a page leads on this site, without places within pages."""
    found = (unescape(link) for link in re.findall(r'\s(?:href|src|hx-get)="([^#"][^"]*|)"', html))
    whole = (urldefrag(urljoin(f"http://testserver{page}", link))[0] for link in found)
    return {link.removeprefix("http://testserver") or "/" for link in whole if link.startswith("http://testserver")}


def find_searches(html: str, page: str) -> set[str]:
    """Where a page's forms lead that are sent as an address, as they stand without what is typed."""
    forms = (tag for tag in re.findall(r"<form\b[^>]*>", html) if 'method="post"' not in tag)
    actions = (re.search(r'\saction="([^"]*)"', tag) for tag in forms)
    found = (urljoin(page, unescape(action[1])) if action else page for action in actions)
    return {urldefrag(address)[0] for address in found}


def crawl(
    visit: Visit, start: str, read: Callable[[str, str], object] = lambda path, html: None
) -> tuple[dict[str, str], int]:
    """Links that lead nowhere, each with the page that has it, and how many pages were opened. ``read`` is given each
    page's path and text."""
    waiting, seen, kinds = deque([(start, "")]), {start}, Counter[object]()
    broken: dict[str, str] = {}
    opened = 0
    while waiting:
        path, source = waiting.popleft()
        parts = urlsplit(path)
        try:
            match = resolve(parts.path)
        except Resolver404:
            if not parts.path.startswith(("/static/", "/v1")):
                broken[path] = source
            continue
        kind = (match.route, tuple(sorted(parse_qs(parts.query))))
        kinds[kind] += 1
        if kinds[kind] > MOST_OF_A_KIND:
            continue
        answer = visit.get(path)
        opened += 1
        if answer.status_code not in {200, 302}:
            broken[f"{path} ({answer.status_code})"] = source
        if answer.status_code != 200 or not answer.headers["Content-Type"].startswith("text/html"):
            continue
        html = answer.content.decode()
        read(parts.path, html)
        for link in find_links(html, path) - seen:
            seen.add(link)
            waiting.append((link, path))
    return broken, opened
