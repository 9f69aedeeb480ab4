"""JSON logs, a line an event. What is logged is named by the caller: prompts, keys and credentials never are.

Django logs the requests that it refuses, addresses and all: of these the path stays, without what stands for a secret
in it, and never the query.
"""

import logging
import re
from typing import Any, Final

import orjson
from django.http import HttpRequest

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


#: keys and tokens of ours, and addresses whose last part is one, in a line of JSON: an escape there is part of no word
#: that follows, and is not cut in two
_SECRET: Final = re.compile(
    r"(?:\b|(?<=\\[nrtbf]))(ch[kapi]_)[0-9A-Za-z]+|(/(?:invitations|unsubscribe)/)[^/?\s\"'\\]+"
)


class ForeignHost(logging.Filter):
    """Django's complaint about a Host header in one sentence that names our variable: a stranger's request is no
    crash."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        record.msg = record.getMessage().replace("ALLOWED_HOSTS", "COSTHUB_ALLOWED_HOSTS")
        record.args = None
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then whatever ``extra`` carried."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: _show(value) for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _SECRET.sub(r"\1\2…", orjson.dumps(line, default=str).decode())


def _show(value: Any) -> Any:
    return f"{value.method} {value.path}" if isinstance(value, HttpRequest) else value
