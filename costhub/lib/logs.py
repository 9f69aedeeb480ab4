"""JSON logs, a line an event. What is logged is named by the caller: prompts, keys and credentials never are."""

import logging

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()
