"""What upstreams do wrong: the books balance whatever it is, of one upstream and of a cascade of three."""

from typing import Final

import pytest

EVERY_FAULT: Final = pytest.mark.parametrize(
    "fault",
    [
        {"fault": "reset", "at": 3},
        {"fault": "reset", "at_byte": 700},
        {"fault": "eof", "at": 2},
        {"fault": "error_after_tokens", "at": 4},
        {"fault": "http_500"},
        {"fault": "http_503"},
        {"fault": "rate_limited"},
        {"fault": "error_event", "at": 2},
        {"fault": "hang_up"},
        {"fault": "no_usage"},
        {"fault": "zero_usage"},
        {"fault": "cumulative_usage"},
        {"fault": "usage_before_finish"},
        {"fault": "duplicate_final"},
        {"fault": "no_done"},
        {"fault": "crlf"},
        {"fault": "cr"},
        {"fault": "multi_line"},
        {"fault": "comments"},
        {"fault": "split_utf8", "wide": True},
        {"fault": "nul"},
        {"fault": "long_line", "at": 2, "size": 200_000},
        {"fault": "overrun", "by": 3},
        {"fault": "garbage"},
        {"fault": "wrong_content_length", "by": 10},
        {"fault": "wrong_content_length", "by": -10},
        {"fault": "wrong_model"},
        {"fault": "not_json"},
        {"fault": "redirect", "url": "http://127.0.0.1:1/"},
        {"cached_tokens": 2, "reasoning_tokens": 7},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
