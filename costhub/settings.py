"""Every setting, read once, typed, loud about a bad value.

Of what runs inside Django no other module reads the environment. The command line (costhub/cli.py) and costhub/stack
do: they run before Django is there, and start it."""

import base64
import hashlib
import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from costhub.lib import draining
from costhub.lib.keyspace import PAGES_PREFIX
from costhub.lib.secrets import MasterKeys
from costhub.lib.valkey_url import Kind, parse_valkey_url


def _text(name: str, default: str) -> str:
    return os.environ.get(name, default)


def _whole(name: str, default: int, low: int, high: int) -> int:
    raw = os.environ.get(name, str(default))
    if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
        raise ImproperlyConfigured(f"{name}={raw!r}: give a whole number from {low} to {high}")
    return int(raw)


def _choice(name: str, default: str, known: tuple[str, ...]) -> str:
    raw = os.environ.get(name, default)
    if raw not in known:
        raise ImproperlyConfigured(f"{name}={raw!r}: give one of {', '.join(known)}")
    return raw


def _choices(name: str, default: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(word.strip() for word in os.environ.get(name, default).split(",") if word.strip())
    for word in chosen:
        if word not in known:
            raise ImproperlyConfigured(f"{name}: {word!r} is none of {', '.join(known)}")
    return chosen


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
    return _decode_key(name, raw)


def _decode_key(name: str, raw: str) -> bytes:
    try:
        decoded = base64.b64decode(raw, validate=True)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not base64") from error
    if len(decoded) != 32:
        raise ImproperlyConfigured(f"{name} holds {len(decoded)} bytes: give 32")
    return decoded


def _keys(name: str) -> tuple[bytes, ...]:
    """Several keys, with commas between them."""
    return tuple(_decode_key(name, raw.strip()) for raw in _text(name, "").split(",") if raw.strip())


#: Whether this process is the web server: costhub/asgi.py says so, and nobody else. Each request of Django's has a
#: thread of its own there, so it is not the thread that keeps a connection for the next piece of work.
_SERVES_PAGES: Final = _flag("COSTHUB_SERVES_PAGES", default=False)


#: Whether ``DATABASE_URL`` is a pooler's that gives each transaction another connection, such as PgBouncer's: then
#: sessions, which a few locks of jobs need, are had here.
_SESSIONS: Final = "COSTHUB_DATABASE_SESSION_URL"
#: what may stand behind a database's address, in libpq's words
_TLS_WISHES: Final = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"})


def _database(name: str, default: str, *, is_pooled: bool = False) -> dict[str, Any]:
    url = urlsplit(_text(name, default))
    if url.scheme not in {"postgres", "postgresql"} or not url.hostname or len(url.path) < 2:
        raise ImproperlyConfigured(f"{name}: give postgresql://user:password@host:port/database")
    wishes = dict(parse_qsl(url.query, keep_blank_values=True))
    # What is not passed on must not look as if it held: an operator who asks for TLS has it, or is told.
    if wishes.keys() - _TLS_WISHES:
        # It is not named: it may be a part of a password that was not encoded.
        raise ImproperlyConfigured(f"{name} has an unknown parameter: give {', '.join(sorted(_TLS_WISHES))}")
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
        # Whether its processes are among those of this machine, as `costhub up` has them.
        "IS_NEAR": _flag("COSTHUB_DATABASE_IS_NEAR", default=False),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "costhub",
            **wishes,
            # A pooler takes no options: there they are the role's, see deploy/postgres/roles.sql.
            **({} if is_pooled else {"options": "-c statement_timeout=30000 -c lock_timeout=10000"}),
        },
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
    }


def _mail_server(name: str) -> dict[str, Any]:
    """``smtp://user:password@host:25``, ``smtp+starttls://...`` or ``smtps://...`` as Django's settings; unset, mails
    are written to files in ``COSTHUB_MAIL_DIR``, and without that, where it is no production, to nowhere."""
    raw = _text(name, "")
    if not raw:
        folder = _text("COSTHUB_MAIL_DIR", "")
        if PRODUCTION and not folder:
            raise ImproperlyConfigured(
                f"{name} is not set: give smtp://user:password@host:port, because invitations, codes and alerts are mailed,"
                " or COSTHUB_MAIL_DIR, a folder that they are written to"
            )
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


def _valkey(name: str, default: str) -> str:
    """`valkey://host:6379/0`, `valkey+cluster://a:6379,b:6379` or `valkey+sentinel://a:26379/name`, and with TLS."""
    raw = _text(name, default)
    try:
        parse_valkey_url(raw)
    except ValueError as error:
        # Not the address itself: there is a password in it.
        raise ImproperlyConfigured(f"{name} {error}") from None
    return raw


def _broker(name: str, default: str) -> str:
    raw = _valkey(name, default)
    if parse_valkey_url(raw).kind is Kind.CLUSTER:
        raise ImproperlyConfigured(
            f"{name} is or follows a cluster, which Celery cannot use: give it valkey:// or valkey+sentinel://"
        )
    return raw


def _http_url(name: str) -> str:
    """`http://collector:4318`, without the slash at its end; empty when it is not set."""
    raw = _text(name, "")
    if raw and (urlsplit(raw).scheme not in {"http", "https"} or not urlsplit(raw).hostname):
        raise ImproperlyConfigured(f"{name}={raw!r}: give http://host:port or https://host")
    return raw.rstrip("/")


def _files_url(name: str) -> str:
    """`file:///var/lib/costhub/files` or `s3://bucket/prefix`."""
    raw = _text(name, (BASE_DIR / "var" / "files").as_uri())
    url = urlsplit(raw)
    if not (
        (url.scheme == "file" and url.path.startswith("/") and not url.netloc) or (url.scheme == "s3" and url.netloc)
    ):
        raise ImproperlyConfigured(f"{name}={raw!r}: give file:///an/absolute/folder or s3://bucket/prefix")
    return raw


def _headers(name: str) -> dict[str, str]:
    """`api-key=abc,tenant=acme`, in per cent encoding where it must be, as OpenTelemetry's other programs read it."""
    found = {}
    for item in filter(None, (part.strip() for part in _text(name, "").split(","))):
        header, separator, value = item.partition("=")
        if not separator or not header.strip():
            raise ImproperlyConfigured(f"{name}: give name=value, with commas between several")
        found[header.strip().lower()] = unquote(value.strip())
    return found


def _origins(name: str) -> frozenset[str]:
    """`https://app.example.org, http://localhost:3000`: origins as browsers write them, or `*`."""
    found = {item.strip().rstrip("/").lower() for item in _text(name, "").split(",") if item.strip()}
    for origin in found - {"*"}:
        url = urlsplit(origin)
        if url.scheme not in {"http", "https"} or not url.netloc or f"{url.scheme}://{url.netloc}" != origin:
            raise ImproperlyConfigured(f"{name}: {origin!r} is no origin such as https://app.example.org")
    return frozenset(found)


def _networks(name: str) -> tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int | None], ...]:
    """`10.1.0.0/16, 127.0.0.1:8081`: networks, each with an optional port, that the SSRF gate may reach."""
    found = []
    for item in filter(None, (part.strip() for part in _text(name, "").split(","))):
        if item.startswith("["):
            network, closing, rest = item[1:].partition("]")
            rest = rest if closing else item
        elif item.count(":") == 1:
            network, rest = item[: item.index(":")], item[item.index(":") :]
        else:
            network, rest = item, ""
        try:
            found.append((ipaddress.ip_network(network, strict=False), _port(rest) if rest else None))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name}: {item!r} is not a network such as 10.1.0.0/16, 10.1.2.3:8000 or [fd00::1]:8000"
            ) from error
    return tuple(found)


def _name_server(name: str) -> tuple[str, int] | None:
    """`10.0.0.2`, `10.0.0.2:5353` or `[fd00::2]:53`: an address, and a port unless it is 53."""
    raw = _text(name, "").strip()
    if not raw:
        return None
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(:[0-9]{1,5})?", raw)
    try:
        if match is None:
            raise ValueError(raw)
        return str(ipaddress.ip_address(match[1] or match[2])), _port(match[3]) if match[3] else 53
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: {raw!r} is no address such as 10.0.0.2, 10.0.0.2:53 or [fd00::2]:53"
        ) from error


def _port(text: str) -> int:
    """Of `:8000`. A port that is not there opens none: it must not open all."""
    digits = text.removeprefix(":")
    if not text.startswith(":") or not (digits.isascii() and digits.isdecimal()) or not 0 < int(digits) < 65536:
        raise ValueError(text)
    return int(digits)


BASE_DIR: Final = Path(__file__).resolve().parent.parent
PRODUCTION: Final = _flag("COSTHUB_PRODUCTION", default=False)

# Matrices are multiplied by one thread of a process, unless an operator wants more: OpenBLAS would begin one for every
# other core in each, and they wait for work in a loop. It looks here when NumPy is loaded, which is after this.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# --- secrets
SECRET_KEY = _key("COSTHUB_SECRET_KEY").hex()
#: mixed into the HMAC under which API keys and admin tokens are stored
KEY_PEPPER: Final = _key("COSTHUB_KEY_PEPPER")
#: seal the data key of every organisation, and second factors; the former ones open what was sealed before a rotation
MASTER_KEYS: Final = MasterKeys(_key("COSTHUB_MASTER_KEY"), _keys("COSTHUB_FORMER_MASTER_KEYS"))

# --- the outside
DEBUG = False
ALLOWED_HOSTS = [host.strip() for host in _text("COSTHUB_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",")]
CSRF_TRUSTED_ORIGINS = [origin for origin in _text("COSTHUB_TRUSTED_ORIGINS", "").split(",") if origin]
#: private networks that tenants' upstreams may live on: the operator's to give, never a tenant's
ALLOWED_PRIVATE_NETWORKS: Final = _networks("COSTHUB_ALLOWED_NETWORKS")
#: how many proxies of the operator's stand before this, each adding to X-Forwarded-For where a request came from
TRUSTED_PROXIES: Final = _whole("COSTHUB_TRUSTED_PROXIES", 0, 0, 10)
#: how long calls that are under way may still take when the server stops
DRAIN_SECONDS: Final = _whole(draining.DRAIN, draining.DRAIN_SECONDS, 1, 3_600)
MAX_BODY_BYTES: Final = _whole("COSTHUB_MAX_BODY_BYTES", 20 * 1024 * 1024, 1024, 1024**3)
#: the same outside of /v1: forms and the management API
MAX_PAGE_BODY_BYTES: Final = _whole("COSTHUB_MAX_PAGE_BODY_BYTES", 2_621_440, 1024, 1024**3)
#: whose pages may call /v1 from a browser: `https://app.example.org, http://localhost:3000`, or `*` for all
CORS_ORIGINS: Final = _origins("COSTHUB_CORS_ORIGINS")
#: where the proxy's processes keep their metrics, to be summed when they are read; prometheus_client reads it too
METRICS_DIR: Final = _text("PROMETHEUS_MULTIPROC_DIR", "")
#: where people find the console, for links in mails and webhooks
PUBLIC_URL: Final = _http_url("COSTHUB_PUBLIC_URL")
if PRODUCTION and not PUBLIC_URL:
    raise ImproperlyConfigured(
        "COSTHUB_PUBLIC_URL is not set: give the address at which people find the console, such as"
        " https://costhub.example.org, because mails link to it"
    )
#: where jobs find the proxy, for teacher runs
PROXY_URL: Final = _http_url("COSTHUB_PROXY_URL") or PUBLIC_URL or "http://127.0.0.1:8000"
MAIL_FROM: Final = _text("COSTHUB_MAIL_FROM", "CostHub <costhub@localhost>")
DEFAULT_FROM_EMAIL = MAIL_FROM
locals().update(_mail_server("COSTHUB_SMTP_URL"))
#: where traces go: the operator's own collector, not a tenant's address. Empty: there are none
TRACES_ENDPOINT: Final = _http_url("OTEL_EXPORTER_OTLP_ENDPOINT")
TRACES_HEADERS: Final = _headers("OTEL_EXPORTER_OTLP_HEADERS")
TRACES_SERVICE: Final = _text("OTEL_SERVICE_NAME", "costhub")
#: of calls that come without a trace of their own so many per mille are traced
TRACES_PER_MILLE: Final = _whole("COSTHUB_TRACES_PER_MILLE", 1_000, 0, 1_000)
#: the DNS server that is asked for the TXT records of claimed domains, as 10.0.0.2 or 10.0.0.2:53; empty: the system's
DNS_SERVER: Final = _name_server("COSTHUB_DNS_SERVER")
#: Stripe collects where there is a key; empty: invoices are paid by hand
STRIPE_API_KEY: Final = _text("STRIPE_API_KEY", "")
STRIPE_API_URL: Final = _http_url("STRIPE_API_URL") or "https://api.stripe.com"
STRIPE_WEBHOOK_SECRET: Final = _text("STRIPE_WEBHOOK_SECRET", "").strip()
if STRIPE_API_KEY and not STRIPE_WEBHOOK_SECRET:
    raise ImproperlyConfigured("STRIPE_WEBHOOK_SECRET is empty: anybody could say that invoices were paid")
#: fail-points (costhub/lib/failpoints.py): never set outside a test
FAILPOINT: Final = _text("COSTHUB_FAILPOINT", "")

# --- stores
#: whether a connection is another one in each transaction
POOLS_TRANSACTIONS: Final = bool(_text(_SESSIONS, ""))
#: of the connection that locks outlive transactions on
SESSION_DATABASE: Final = "session" if POOLS_TRANSACTIONS else "default"
DATABASES = {
    "default": _database(
        "DATABASE_URL",
        "postgresql://costhub_app:costhub_app@127.0.0.1:5432/costhub",
        is_pooled=POOLS_TRANSACTIONS,
    ),
    # The owner of the tables. Only migrations connect with it: the app role owns nothing.
    "owner": _database("DATABASE_OWNER_URL", "postgresql://costhub_owner:costhub_owner@127.0.0.1:5432/costhub")
    | {"ATOMIC_REQUESTS": False},
}
#: a streaming replica of PostgreSQL, from which pages and lists are read that may be so old
HAS_REPLICA: Final = bool(_text("COSTHUB_READ_DATABASE_URL", ""))
READ_STALENESS_MS: Final = _whole("COSTHUB_READ_STALENESS_MS", 2_000, 100, 600_000)
if HAS_REPLICA:
    DATABASES["replica"] = _database("COSTHUB_READ_DATABASE_URL", "") | {"ATOMIC_REQUESTS": False}
    DATABASES["replica"]["OPTIONS"] |= {"connect_timeout": 1}
if POOLS_TRANSACTIONS:
    DATABASES[SESSION_DATABASE] = _database(_SESSIONS, "") | {"ATOMIC_REQUESTS": False}
#: a server, a cluster, or what Sentinels know: see costhub/lib/valkey_url.py
REDIS_URL: Final = _valkey("REDIS_URL", "redis://127.0.0.1:6379/0")
#: Celery's queue, which takes no cluster
BROKER_URL: Final = _broker("COSTHUB_BROKER_URL", REDIS_URL)
#: where answers are kept for every worker: a server of its own may evict what it likes, this one may not
CACHE_URL: Final = _valkey("COSTHUB_CACHE_URL", REDIS_URL)
#: how long a call waits for it before it does without
CACHE_TIMEOUT_MS: Final = _whole("COSTHUB_CACHE_TIMEOUT_MS", 100, 5, 10_000)
#: answers in the memory of each worker
CACHE_PROCESS_BYTES: Final = _whole("COSTHUB_CACHE_PROCESS_BYTES", 64 * 1024 * 1024, 0, 64 * 1024**3)
#: how long a call waits for an answer to a like question, the vector of its own included
CACHE_SEMANTIC_DEADLINE_MS: Final = _whole("COSTHUB_CACHE_SEMANTIC_DEADLINE_MS", 100, 1, 10_000)
#: what makes vectors of questions: onnx, or sentence-transformers where the learning extra is installed
CACHE_EMBEDDER: Final = _choice("COSTHUB_CACHE_EMBEDDER", "onnx", ("onnx", "sentence-transformers"))
#: what finding an answer by meaning costs (vector and search), in nano-USD: part of what such a hit costs
CACHE_LOOKUP_NANOS: Final = _whole("COSTHUB_CACHE_LOOKUP_NANOS", 0, 0, 1_000_000_000)
#: where uploaded files, and the answers of batches, lie
FILES_URL: Final = _files_url("COSTHUB_FILES_URL")
#: where the embedded PostgreSQL is backed up, and where it is noted who was erased since
BACKUP_URL: Final = _text("COSTHUB_BACKUP_URL", "")
#: where the archive of `costhub up` notes when it kept what; empty without one
ARCHIVE_STATE: Final = _text("COSTHUB_ARCHIVE_STATE", "")
#: how the files begin in which a worker or beat shows that it lives; said by whoever starts it
PULSE: Final = _text("COSTHUB_PULSE", "")
#: the largest file that is taken, and the most that an organisation may keep
MAX_FILE_BYTES: Final = _whole("COSTHUB_MAX_FILE_BYTES", 200 * 1024 * 1024, 1024, 1024**4)
MAX_FILES_BYTES: Final = _whole("COSTHUB_MAX_FILES_BYTES", 10 * 1024**3, 1024, 1024**5)
#: vocabularies that a proxy reads before it takes calls. Any other is read when a text is first counted in it, which
#: holds up a worker's calls for half a second, once
VOCABULARIES: Final = _choices("COSTHUB_VOCABULARIES", "o200k_base", ("o200k_base", "cl100k_base", "llama3", "qwen3"))
#: how long a call waits for the vectors of its passages, where a policy leaves some of them out
COMPRESSION_DEADLINE_MS: Final = _whole("COSTHUB_COMPRESSION_DEADLINE_MS", 3_000, 1, 60_000)
#: where the processes listen that answer pages and the management API; empty: who takes calls answers these too
PAGES_SOCKET: Final = _text("COSTHUB_PAGES_SOCKET", "")
#: where training keeps its checkpoints: file:///folder, or s3://bucket/prefix with AWS's own variables for the rest
CHECKPOINTS_URL: Final = _text("COSTHUB_CHECKPOINTS_URL", "")
#: a worker that dies without notice loses what it learned in so many seconds
CHECKPOINT_SECONDS: Final = _whole("COSTHUB_CHECKPOINT_SECONDS", 20, 1, 3_600)
#: where language models lie that adapters are trained of and served with: a folder of Hugging Face's form, or a GGUF
#: file, by each model's name; empty: the demo's alone
BASE_MODELS_DIR: Final = _text("COSTHUB_BASE_MODELS_DIR", "")
#: where the proxies reach `costhub tuned-server`, such as http://127.0.0.1:8021/v1; empty: no tuned model is served
TUNED_URL: Final = _http_url("COSTHUB_TUNED_URL")
#: where a cloud tells its machines that it takes them away, such as http://169.254.169.254; empty: it is not asked
INSTANCE_METADATA_URL: Final = _http_url("COSTHUB_INSTANCE_METADATA_URL")
#: where the proxies reach `costhub student-server`, such as http://127.0.0.1:8020/v1; empty: no student is served
STUDENTS_URL: Final = _http_url("COSTHUB_STUDENTS_URL")
#: a folder of fonts for letters on invoices that those inside the package lack, such as Chinese or Arabic ones; empty:
#: such an invoice is mailed without its page
FONTS_DIR: Final = _text("COSTHUB_FONTS_DIR", "")
#: so many months of calls are kept, besides the one that is under way; 0: for ever
LEDGER_MONTHS: Final = _whole("COSTHUB_LEDGER_MONTHS", 0, 0, 1_200)
#: what becomes of older ones: dropped, or detached: out of the ledger, in a table of the owner's alone
LEDGER_OLD_MONTHS: Final = _choice("COSTHUB_LEDGER_OLD_MONTHS", "drop", ("drop", "detach"))
#: requests that one credential may send to the management API in a minute; 0: as many as it likes
API_CALLS_A_MINUTE: Final = _whole("COSTHUB_API_CALLS_A_MINUTE", 1_200, 0, 1_000_000)
#: how long the hot path waits for Valkey before it fails closed
GOVERNANCE_TIMEOUT_MS: Final = _whole("COSTHUB_GOVERNANCE_TIMEOUT_MS", 200, 20, 10_000)

# --- Django
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.socialaccount.providers.saml",
    "allauth.usersessions",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "tenants",
    "proxy",
    "billing",
    "costhub.console",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "costhub.lib.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "costhub.lib.hosts.HostsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "costhub.lib.session_limits.SessionLimitsMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "costhub.lib.replica.ReplicaMiddleware",
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
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        # allauth's own, in our look by the layouts and elements in templates/allauth
                        "django.template.loaders.app_directories.Loader",
                    ],
                ),
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
#: where `manage.py collectstatic` has put the console's files, named by their content and compressed; empty: they are
#: served as they lie in the repository
STATIC_ROOT = _text("COSTHUB_STATIC_DIR", "") or None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = False
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
if PRODUCTION:
    # Browsers take such a cookie from this host alone, over TLS: no neighbour under the same domain can set one.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
else:
    # Browsers send one host's cookies to all of its ports: two installations on one machine must not sign each other's
    # people out.
    _INSTALLATION: Final = hashlib.blake2b(SECRET_KEY.encode(), digest_size=4, person=b"cookie").hexdigest()
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"sessionid_{_INSTALLATION}", f"csrftoken_{_INSTALLATION}"
#: a sign-in ends so long after it began, and so long after its last page
SESSION_COOKIE_AGE = _whole("COSTHUB_SESSION_HOURS", 14 * 24, 1, 10_000) * 3600
SESSION_IDLE_SECONDS: Final = _whole("COSTHUB_SESSION_IDLE_MINUTES", 24 * 60, 1, 1_000_000) * 60
if TRUSTED_PROXIES:
    # The nearest of them ends TLS, and says so in place of whatever its caller said.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if PRODUCTION:
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    # Where nobody is known to end TLS before us, a redirect would lead round in a circle.
    SECURE_SSL_REDIRECT = bool(TRUSTED_PROXIES)
    # What load balancers, Prometheus and programs ask from the inside: a redirect takes no token back.
    SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$", "^api/", "^scim/"]
SILENCED_SYSTEM_CHECKS = [
    "security.W021",  # whether browsers preload HSTS is for the domain's owner to ask for
]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- people's accounts, by django-allauth
#: who may make an account: anybody, or only those whom an organisation invites
SIGN_UP: Final = _choice("COSTHUB_SIGN_UP", "invited" if PRODUCTION else "open", ("open", "invited"))
CACHES = {
    "default": {
        "BACKEND": "costhub.lib.page_cache.ForgivingRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": PAGES_PREFIX,
    }
}
ACCOUNT_ADAPTER = "tenants.accounts.account.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# Codes instead of links: a mail that somebody's scanner opens confirms nothing, and no link depends on a Host header.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[CostHub] "
# Tries of passwords are bounded by costhub.console.passwords, which locks nobody out from elsewhere. Codes of a second
# factor are counted here: whoever may try them knows the password already.
ACCOUNT_RATE_LIMITS = {"login": None, "login_failed": "20/m/ip,10/600s/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
MFA_ADAPTER = "tenants.accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "CostHub"
# A step of 30 s either way, as RFC 6238 advises: telephones' clocks differ. A code still opens once.
MFA_TOTP_TOLERANCE = 1
# Browsers allow passkeys without TLS on localhost only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
SOCIALACCOUNT_ADAPTER = "tenants.accounts.sign_on.SignOnAdapter"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True}}
# A form may only lead to ourselves (Content-Security-Policy), so that one is sent to a provider by a link.
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_STORE_TOKENS = False

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "tenants.api.schema.ProblemSchema",
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
    "OAS_VERSION": "3.1.1",
    # The values stand in the enumeration; that a is a says nothing.
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Fields of one name that choose among other things.
    "ENUM_NAME_OVERRIDES": {
        "AlertKind": "costhub.console.enumerations.ALERT_KIND",
        "CachePurgeKind": "costhub.console.enumerations.PURGE_KIND",
        "ChannelKind": "costhub.console.enumerations.CHANNEL_KIND",
        "InvoiceKind": "costhub.console.enumerations.INVOICE_KIND",
        "JobState": "costhub.console.enumerations.JOB_STATE",
        "Mode": "costhub.console.enumerations.MODE",
        "PriceAdjustmentKind": "costhub.console.enumerations.PRICE_ADJUSTMENT_KIND",
        "Role": "costhub.console.enumerations.ROLE",
        "RouteKind": "costhub.console.enumerations.ROUTE_KIND",
        "SignOnKind": "costhub.console.enumerations.SIGN_ON_KIND",
        "TrainingKind": "costhub.console.enumerations.TRAINING_KIND",
        "UpstreamKind": "costhub.console.enumerations.UPSTREAM_KIND",
        "WalletAccount": "costhub.console.enumerations.WALLET_ACCOUNT",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "costhub.console.described.describe",
    ],
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
