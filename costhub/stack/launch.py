"""`costhub up`: the whole stack from nothing to a first answer, and down again."""

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.archive import Archive
from costhub.stack.backup.state import ARCHIVE_STATE, find_state
from costhub.stack.environment import (
    allow_networks,
    find_backup_url,
    find_external_database,
    find_external_redis,
    load_or_make_keys,
)
from costhub.stack.lock import hold
from costhub.stack.model_server import MODEL, ModelServer
from costhub.stack.part import Part, PartFailed
from costhub.stack.ports import HOST, is_free, next_free_port
from costhub.stack.postgres import Postgres
from costhub.stack.private_files import make_passable, read_json, write_json
from costhub.stack.processes import die_with_parent
from costhub.stack.services import BatchWorker, Beat, Pages, Proxy, SlowWorker, Worker, choose_pages_socket
from costhub.stack.supervisor import StopRequested, Supervisor
from costhub.stack.valkey import Valkey

DEFAULT_PORT: Final = 8000
#: where `costhub student-server` listens, if nothing else is said
STUDENTS_PORT: Final = 8020
_STUDENTS_URL: Final = f"http://{HOST}:{STUDENTS_PORT}/v1"
#: how long our own processes may take to answer: on a busy machine pages, who give way to all others, want minutes
READY_SECONDS: Final = 240.0
#: what `seed_demo --json` prints and stack.json repeats
DEMO_KEYS: Final = ("admin_email", "admin_password", "admin_token", "api_key", "org")
#: where data lies beside the database: a command that did not know it would look for it, or erase it, somewhere else
STORES: Final = ("COSTHUB_FILES_URL", "COSTHUB_CHECKPOINTS_URL", "COSTHUB_BACKUP_URL")
LOG_TAIL_LINES: Final = 12
#: where the console's files are served from; whoever names a folder has filled it
STATIC_DIR: Final = "COSTHUB_STATIC_DIR"


@dataclass(frozen=True)
class UpOptions:
    """What the command line asked for. ``port`` None: the first free one from 8000 on."""

    data_dir: Path
    port: int | None
    workers: int
    model: bool
    demo: bool


@dataclass(frozen=True)
class Stack:
    """A running stack: where it answers, the demo's credentials, what its processes have in their environment."""

    port: int
    demo: dict[str, Any]
    environment: dict[str, str]

    @property
    def console_url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"


def run_stack(options: UpOptions) -> int:
    """Bring the stack up and keep it up until a signal asks it to stop. Gives the exit code."""
    make_passable(options.data_dir)
    announced = options.data_dir / "stack.json"
    try:
        if (options.data_dir / UNFINISHED).exists():
            raise PartFailed(
                f"The restore of {options.data_dir} did not come to its end: who was erased since may be there again."
                " Restore once more, into a new data directory."
            )
        with hold(options.data_dir) as lock, Supervisor(_say, shared_descriptors=(lock,)) as supervisor:
            announced.unlink(missing_ok=True)
            stack = bring_up(options, supervisor)
            supervisor.on_change = lambda: _write_announcement(announced, stack, supervisor)
            _write_announcement(announced, stack, supervisor)
            print(describe(stack, options), flush=True)
            try:
                supervisor.run()
            finally:
                announced.unlink(missing_ok=True)
    except StopRequested:
        _say(f"Stopped; the data stays in {options.data_dir}.")
        return 0
    except (PartFailed, OSError, ValueError) as error:
        _say(f"costhub up: {error}")
        return 1
    return 0


def bring_up(options: UpOptions, supervisor: Supervisor) -> Stack:
    """Servers, migrations, list prices, files of pages, demo, our own processes, in this order. Raises PartFailed,
    OSError, ValueError."""
    port = _choose_port(options.port)
    environment, model = _start_servers(options, supervisor, port)
    _say("Migrating the database.")
    run_django(environment, "migrate", "--database", "owner", "--no-input")
    run_django(environment, "seed_prices")
    if STATIC_DIR not in os.environ:
        run_django(environment, "collectstatic", "--no-input", "--verbosity", "0")
    if model:
        supervisor.wait_ready(model)
    demo = _seed_demo(options.data_dir, environment, model) if options.demo else {}
    _say("Starting the proxy and the worker.")
    pages = [Pages(options.data_dir, environment)] if environment["COSTHUB_PAGES_SOCKET"] else []
    supervisor.start(
        Proxy(options.data_dir, environment, port=port, workers=options.workers),
        *pages,
        Worker(options.data_dir, environment),
        SlowWorker(options.data_dir, environment),
        BatchWorker(options.data_dir, environment),
        Beat(options.data_dir, environment),
        timeout_seconds=READY_SECONDS,
    )
    return Stack(port, demo, environment)


def run_django(environment: dict[str, str], *arguments: str) -> str:
    """Run a management command and give what it printed. Raises PartFailed with the end of what it complained, or with
    the one sentence about a setting that cannot be read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "costhub.manage", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one prctl call, no lock, no import
    )
    try:
        printed, complained = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode == os.EX_CONFIG:
        raise PartFailed(complained.strip().splitlines()[-1].removeprefix("costhub: "))
    if process.returncode:
        end = "\n".join(complained.strip().splitlines()[-LOG_TAIL_LINES:])
        raise PartFailed(f"`{arguments[0]}` failed with exit code {process.returncode}:\n{end}")
    return printed


def describe(stack: Stack, options: UpOptions) -> str:
    """What a person sees when everything answers: where to look, how to log in, and a call to paste."""
    rows = [("Console", stack.console_url), ("API", stack.base_url)]
    if stack.demo:
        rows.insert(1, ("Login", f"{stack.demo['admin_email']}   {stack.demo['admin_password']}"))
        rows.append(("API key", str(stack.demo["api_key"])))
    lines = ["", "CostHub is ready.", "", *(f"  {name:<9}{value}" for name, value in rows)]
    if stack.demo:
        lines += [
            "",
            "Paste this for a first priced answer:" if options.model else "Paste this for a first answer:",
            "",
        ]
        lines += [_first_call(stack, with_model=options.model)]
    return "\n".join([*lines, "", f"Ctrl-C stops all of it; the data stays in {options.data_dir}.", ""])


def _first_call(stack: Stack, *, with_model: bool) -> str:
    key = shlex.quote(f"Authorization: Bearer {stack.demo['api_key']}")
    if not with_model:
        return f"  curl {stack.base_url}/models -H {key}"
    question = {"role": "user", "content": "What is the capital of France?"}
    body = json.dumps({"model": MODEL, "temperature": 0, "messages": [question]})
    return (
        f"  curl -i {stack.base_url}/chat/completions \\\n"
        f"    -H {key} \\\n"
        f"    -H 'Content-Type: application/json' \\\n"
        f"    -d {shlex.quote(body)}"
    )


def _choose_port(asked: int | None) -> int:
    """The port that was asked for, or the next free one when none was. Raises PartFailed when it is taken."""
    if asked is None:
        return next_free_port(DEFAULT_PORT)
    if not is_free(asked):
        raise PartFailed(
            f"port {asked} of {HOST} is taken by another program (or is not yours to take): stop that one, give another "
            "--port, or leave --port out to get the next free one."
        )
    return asked


def _start_servers(options: UpOptions, supervisor: Supervisor, port: int) -> tuple[dict[str, str], ModelServer | None]:
    """Start what nobody else runs for us. Gives the environment of our processes, and the model if there is one.

    The model is still loading when this returns: the migrations need not wait for it.
    """
    external_database, external_redis = find_external_database(), find_external_redis()
    postgres = None if external_database else Postgres(options.data_dir)
    valkey = None if external_redis else Valkey(options.data_dir)
    model = ModelServer(options.data_dir) if options.model else None
    servers: list[Part] = [part for part in (postgres, valkey) if part]
    _say(f"Starting {', '.join(part.name for part in [*servers, model] if part) or 'no server of our own'}.")
    supervisor.launch(*servers, *filter(None, [model]))
    supervisor.wait_ready(*servers)
    if (url := find_backup_url(is_embedded=postgres is not None)) and postgres:
        # Not waited for: calls go on without it, and it is tried again until it has its store.
        supervisor.launch(Archive(options.data_dir, postgres, url))

    environment = os.environ | load_or_make_keys(options.data_dir) | {"DJANGO_SETTINGS_MODULE": "costhub.settings"}
    if postgres:
        environment |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        environment.setdefault("COSTHUB_DATABASE_IS_NEAR", "1")
    if valkey:
        environment["REDIS_URL"] = valkey.url
    environment[ARCHIVE_STATE] = str(find_state(options.data_dir.resolve())) if url else ""
    for name, folder in (("COSTHUB_FILES_URL", "files"), ("COSTHUB_CHECKPOINTS_URL", "checkpoints")):
        environment.setdefault(name, (options.data_dir.resolve() / folder).as_uri())
    environment.setdefault(STATIC_DIR, str(options.data_dir.resolve() / "static"))
    environment.setdefault("COSTHUB_PAGES_SOCKET", choose_pages_socket(options.data_dir))
    if environment.get("COSTHUB_PRODUCTION") != "1":
        # In production nobody but this machine would find the console there, and mails link to it.
        environment.setdefault("COSTHUB_PUBLIC_URL", f"http://{HOST}:{port}")
    if not environment.get("COSTHUB_SMTP_URL"):
        # Without a mail server mails can be read as files.
        environment.setdefault("COSTHUB_MAIL_DIR", str(options.data_dir / "mail"))
    own = [f"{HOST}:{model.port}"] if model else []
    if options.demo and environment.setdefault("COSTHUB_STUDENTS_URL", _STUDENTS_URL) == _STUDENTS_URL:
        # For `costhub distil`, and for whoever starts `costhub student-server` on this machine.
        own.append(f"{HOST}:{STUDENTS_PORT}")
    if own:
        environment["COSTHUB_ALLOWED_NETWORKS"] = allow_networks(*own)
    # For `costhub doctor`, and for whoever wants to run a management command against this stack.
    ours: dict[str, str] = {name: environment[name] for name in STORES if name in environment}
    ours |= {name: value for name, value in environment.items() if os.environ.get(name) != value}
    write_json(options.data_dir / "environment.json", ours)
    return environment, model


def _seed_demo(data_dir: Path, environment: dict[str, str], model: ModelServer | None) -> dict[str, Any]:
    """The demo's credentials. `seed_demo` shows them only when it makes them, so they are kept here from then on."""
    path = data_dir / "demo.json"
    flags = ("--model-url", model.url) if model else ()
    printed = run_django(environment, "seed_demo", *flags, "--json").strip()
    try:
        seeded = json.loads(printed.splitlines()[-1])
    except (json.JSONDecodeError, IndexError) as error:
        raise PartFailed(f"`seed_demo --json` printed no JSON object but {printed[-200:]!r}.") from error
    if "api_key" in seeded:
        # The first time: a history to look at, which somebody who has removed it does not want again.
        run_django(environment, "seed_history")
    demo = read_json(path) | {name: seeded[name] for name in DEMO_KEYS if seeded.get(name) is not None}
    missing = [name for name in DEMO_KEYS if name not in demo]
    if missing:
        raise PartFailed(
            f"the demo organisation exists, but {path} with its {', '.join(missing)} is gone: restore that file, "
            "or start with --no-demo."
        )
    write_json(path, demo)
    return demo


def _write_announcement(path: Path, stack: Stack, supervisor: Supervisor) -> None:
    """stack.json: what programs need to use this stack. Private, for it holds every way in."""
    write_json(
        path,
        {
            "base_url": stack.base_url,
            "console_url": stack.console_url,
            **{name: stack.demo.get(name) for name in DEMO_KEYS},
            "database_url": stack.environment["DATABASE_URL"],
            "redis_url": stack.environment["REDIS_URL"],
            "pids": {"supervisor": os.getpid(), **supervisor.pids},
        },
    )


def _say(sentence: str) -> None:
    # Nothing ends because a terminal is gone, or the disk full on which its words are kept.
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
