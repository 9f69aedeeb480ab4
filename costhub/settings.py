"""Every setting, read once, typed, loud about a bad value. No other module reads the environment."""

import base64
import ipaddress
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def _text(name: str, default: str) -> str:
    return os.environ.get(name, default)


def _whole(name: str, default: int, low: int, high: int) -> int:
    raw = os.environ.get(name, str(default))
    if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
        raise ImproperlyConfigured(f"{name}={raw!r}: give a whole number from {low} to {high}")
    return int(raw)


def _flag(name: str, default: bool) -> bool:
    raw = os.environ.get(name, "1" if default else "0")
    if raw not in {"0", "1"}:
        raise ImproperlyConfigured(f"{name}={raw!r}: give 0 or 1")
    return raw == "1"


def _key(name: str) -> bytes:
    """32 secret bytes in base64; made by `costhub up`, or `python -c 'import base64,os; ...'` in production."""
    raw = os.environ.get(name)
    if raw is None:
        if _flag("COSTHUB_INSECURE_DEVELOPMENT_KEYS", default=True) and not PRODUCTION:
            return name.encode().ljust(32, b".")[:32]
        raise ImproperlyConfigured(f"{name} is not set: give 32 random bytes in base64")
    try:
        decoded = base64.b64decode(raw, validate=True)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not base64") from error
    if len(decoded) != 32:
        raise ImproperlyConfigured(f"{name} holds {len(decoded)} bytes: give 32")
    return decoded


#: Whether this process is the web server: costhub/asgi.py says so, and nobody else. Each request of Django's has a
#: thread of its own there, so it is not the thread that keeps a connection for the next piece of work.
_SERVES_PAGES: Final = _flag("COSTHUB_SERVES_PAGES", default=False)


def _database(name: str, default: str) -> dict[str, Any]:
    url = urlsplit(_text(name, default))
    if url.scheme not in {"postgres", "postgresql"} or not url.hostname or len(url.path) < 2:
        raise ImproperlyConfigured(f"{name}: give postgresql://user:password@host:port/database")
    seconds = _whole("COSTHUB_DATABASE_CONN_MAX_AGE", 60 if _SERVES_PAGES else 0, 0, 86_400)
    return {
        "ENGINE": "costhub.lib.postgres",
        "HOST": url.hostname,
        "PORT": str(url.port or 5432),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "NAME": url.path[1:],
        "ATOMIC_REQUESTS": True,
        "CONN_MAX_AGE": 0 if _SERVES_PAGES else seconds,
        "IDLE_SECONDS": seconds if _SERVES_PAGES else 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "costhub",
            "options": "-c statement_timeout=30000 -c lock_timeout=10000",
        },
    }


def _mail_server(name: str) -> dict[str, Any]:
    """``smtp://user:password@host:25``, ``smtp+starttls://...`` or ``smtps://...`` as Django's settings; unset, mails
    are written to files in ``COSTHUB_MAIL_DIR``, and without that to nowhere."""
    raw = _text(name, "")
    if not raw:
        folder = _text("COSTHUB_MAIL_DIR", "")
        backend = "filebased" if folder else "dummy"
        return {"EMAIL_BACKEND": f"django.core.mail.backends.{backend}.EmailBackend", "EMAIL_FILE_PATH": folder or None}
    url = urlsplit(raw)
    ports = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
    if url.scheme not in ports or not url.hostname or url.path not in {"", "/"}:
        raise ImproperlyConfigured(f"{name}: give smtp://, smtp+starttls:// or smtps://user:password@host:port")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or ports[url.scheme],
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_TLS": url.scheme == "smtp+starttls",
        "EMAIL_USE_SSL": url.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,
    }


def _http_url(name: str) -> str:
    """`http://collector:4318`, without the slash at its end; empty when it is not set."""
    raw = _text(name, "")
    if raw and (urlsplit(raw).scheme not in {"http", "https"} or not urlsplit(raw).hostname):
        raise ImproperlyConfigured(f"{name}={raw!r}: give http://host:port or https://host")
    return raw.rstrip("/")


def _headers(name: str) -> dict[str, str]:
    """`api-key=abc,tenant=acme`, in per cent encoding where it must be, as OpenTelemetry's other programs read it."""
    found = {}
    for item in filter(None, (part.strip() for part in _text(name, "").split(","))):
        header, separator, value = item.partition("=")
        if not separator or not header.strip():
            raise ImproperlyConfigured(f"{name}: give name=value, with commas between several")
        found[header.strip().lower()] = unquote(value.strip())
    return found


def _networks(name: str) -> tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int | None], ...]:
    """`10.1.0.0/16, 127.0.0.1:8081`: networks, each with an optional port, that the SSRF gate may reach."""
    found = []
    for item in filter(None, (part.strip() for part in _text(name, "").split(","))):
        network, _, port = item.rpartition(":") if item.count(":") == 1 else (item, "", "")
        if item.startswith("["):
            network, _, port = item[1:].partition("]:")
            network = network.rstrip("]")
        try:
            found.append((ipaddress.ip_network(network, strict=False), int(port) if port else None))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name}: {item!r} is not a network such as 10.1.0.0/16 or 10.1.2.3:8000"
            ) from error
    return tuple(found)


BASE_DIR: Final = Path(__file__).resolve().parent.parent
PRODUCTION: Final = _flag("COSTHUB_PRODUCTION", default=False)

# --- secrets
SECRET_KEY = base64.b64encode(_key("COSTHUB_SECRET_KEY")).decode()
#: mixed into the HMAC under which API keys and admin tokens are stored
KEY_PEPPER: Final = _key("COSTHUB_KEY_PEPPER")
#: wraps the data key of every organisation
MASTER_KEY: Final = _key("COSTHUB_MASTER_KEY")

# --- the outside
DEBUG = False
ALLOWED_HOSTS = [host.strip() for host in _text("COSTHUB_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")]
CSRF_TRUSTED_ORIGINS = [origin for origin in _text("COSTHUB_TRUSTED_ORIGINS", "").split(",") if origin]
#: private networks that tenants' upstreams may live on: the operator's to give, never a tenant's
ALLOWED_PRIVATE_NETWORKS: Final = _networks("COSTHUB_ALLOWED_NETWORKS")
MAX_BODY_BYTES: Final = _whole("COSTHUB_MAX_BODY_BYTES", 20 * 1024 * 1024, 1024, 1024**3)
#: where the proxy's processes keep their metrics, to be summed when they are read; prometheus_client reads it too
METRICS_DIR: Final = _text("PROMETHEUS_MULTIPROC_DIR", "")
#: where people find the console, for links in mails and webhooks
PUBLIC_URL: Final = _http_url("COSTHUB_PUBLIC_URL")
MAIL_FROM: Final = _text("COSTHUB_MAIL_FROM", "CostHub <costhub@localhost>")
DEFAULT_FROM_EMAIL = MAIL_FROM
locals().update(_mail_server("COSTHUB_SMTP_URL"))
#: where traces go: the operator's own collector, not a tenant's address. Empty: there are none
TRACES_ENDPOINT: Final = _http_url("OTEL_EXPORTER_OTLP_ENDPOINT")
TRACES_HEADERS: Final = _headers("OTEL_EXPORTER_OTLP_HEADERS")
TRACES_SERVICE: Final = _text("OTEL_SERVICE_NAME", "costhub")
#: of calls that come without a trace of their own so many per mille are traced
TRACES_PER_MILLE: Final = _whole("COSTHUB_TRACES_PER_MILLE", 1_000, 0, 1_000)
#: fail-points (costhub/lib/failpoints.py): never set outside a test
FAILPOINT: Final = _text("COSTHUB_FAILPOINT", "")

# --- stores
DATABASES = {
    "default": _database("DATABASE_URL", "postgresql://costhub_app:costhub_app@127.0.0.1:5432/costhub"),
    # The owner of the tables. Only migrations connect with it: the app role owns nothing.
    "owner": _database("DATABASE_OWNER_URL", "postgresql://costhub_owner:costhub_owner@127.0.0.1:5432/costhub")
    | {"ATOMIC_REQUESTS": False},
}
REDIS_URL: Final = _text("REDIS_URL", "redis://127.0.0.1:6379/0")
#: so many months of calls are kept, besides the one that is under way; 0: for ever
LEDGER_MONTHS: Final = _whole("COSTHUB_LEDGER_MONTHS", 0, 0, 1_200)
#: how long the hot path waits for Valkey before it fails closed
GOVERNANCE_TIMEOUT_MS: Final = _whole("COSTHUB_GOVERNANCE_TIMEOUT_MS", 200, 20, 10_000)

# --- Django
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "tenants",
    "proxy",
    "billing",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "costhub.lib.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "costhub.urls"
ASGI_APPLICATION = "costhub.asgi.application"
AUTH_USER_MODEL = "tenants.User"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "loaders": [
                ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"]),
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # Each view names its own; DRF's would take passwords in a Basic header.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CostHub management API",
    "DESCRIPTION": "Organisations, keys, upstreams, prices, budgets and the ledger of an LLM gateway.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "costhub.lib.logs.JsonFormatter"}},
    "filters": {"foreign_host": {"()": "costhub.lib.logs.ForeignHost"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": _text("COSTHUB_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"propagate": True},
        "django.security.DisallowedHost": {"filters": ["foreign_host"]},
        "httpx2": {"level": "WARNING"},
        # A line for every run of a task that is due twice a second would be a hundred megabytes a day.
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
