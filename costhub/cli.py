"""The command `costhub`: bring the stack up, tell how it is, measure how well it saves."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from pathlib import Path
from uuid import UUID

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections

from costhub.client.admin import add_parser, run
from costhub.stack.environment import FORMER_KEYS, MASTER_KEY, begin_rotation, end_rotation
from costhub.stack.launch import DEFAULT_PORT, STUDENTS_PORT, UpOptions, run_stack
from costhub.stack.part import PartFailed
from costhub.stack.ports import HOST
from costhub.stack.postgres import Postgres
from costhub.stack.private_files import read_json
from costhub.stack.run import PARTS, find_part, run_part


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Gives the exit code: 0 done, 1 failed (a sentence on stderr says why), 2 wrong usage."""
    options = _make_parser().parse_args(arguments)
    try:
        return _do(options)
    except ImproperlyConfigured as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1


def _do(options: argparse.Namespace) -> int:
    if options.command == "admin":
        url = options.url or os.environ.get("COSTHUB_URL", f"http://127.0.0.1:{DEFAULT_PORT}")
        return run(options, url=url, token=options.token or os.environ.get("COSTHUB_ADMIN_TOKEN", ""))
    if options.command == "doctor":
        return _examine(options.data_dir.absolute(), as_json=options.json)
    if options.command == "gpu-worker":
        return _train(options.data_dir.absolute(), is_once=options.once, name=options.name, threads=options.threads)
    if options.command == "distil":
        return _distil(options)
    if options.command == "student-server":
        return _serve_students(options.data_dir.absolute(), host=options.host, port=options.port)
    if options.command == "scorer-server":
        return _serve_scorer(options.data_dir.absolute(), name=options.model, host=options.host, port=options.port)
    if options.command == "tuned-server":
        return _serve_tuned(options.data_dir.absolute(), host=options.host, port=options.port, threads=options.threads)
    if options.command == "serving-worker":
        return _serve(options)
    if options.command == "eval":
        # Its libraries take seconds to import, which `up` and `doctor` do not need.
        from costhub.eval.command import evaluate

        return evaluate(
            options.subject, options.data, vectors=options.vectors, as_json=options.json, document=options.write
        )
    if options.command == "run":
        return _run(options)
    if options.command == "rotate-master-key":
        return _rotate_master_key(options.data_dir.absolute())
    if options.command in {"export-org", "erase-org", "erase-end-user"}:
        return _let_go(options)
    if options.command in {"backup", "restore"}:
        return _keep_or_bring_back(options)
    if options.command == "erase-again":
        return _erase_again(options)
    return run_stack(
        UpOptions(
            data_dir=options.data_dir.absolute(),
            port=options.port,
            workers=options.workers,
            model=options.model,
            demo=options.demo,
        )
    )


def _examine(data_dir: Path, *, as_json: bool) -> int:
    """Print every check of the doctor. Gives 0 when all works, warnings or not, 1 when something does not."""
    if not _join_stack(data_dir):
        return 1
    from costhub.ops.doctor import examine

    checks = examine(data_dir)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            mark = "BAD " if not check.ok else "warn" if check.is_warning else "ok  "
            print(f"{mark} {check.name:<{width}}  {check.sentence}")
    return 0 if all(check.ok for check in checks) else 1


def _train(data_dir: Path, *, is_once: bool, name: str, threads: int) -> int:
    """Work on training jobs until a notice comes. Gives 1 where there is no stack or no place for checkpoints."""
    if not _join_stack(data_dir, COSTHUB_CHECKPOINTS_URL=(data_dir / "checkpoints").as_uri()):
        return 1
    from proxy.learning.checkpoints import StoreFailed
    from proxy.learning.worker_process import run_worker

    try:
        ended = run_worker(is_once=is_once, name=name, threads=threads)
    except StoreFailed as error:
        print(f"costhub gpu-worker: {error}", file=sys.stderr)
        return 1
    print(f"{ended} training job{'' if ended == 1 else 's'} ended.")
    return 0


def _distil(options: argparse.Namespace) -> int:
    """From prompts to a canary. Gives 1 where it cannot go on, after a sentence that says why."""
    data_dir = options.data_dir.absolute()
    if not _join_stack(data_dir):
        return 1
    from costhub.eval.data import DataMissing
    from costhub.eval.distil import Failed, distil, show
    from costhub.lib.errors import AppError
    from proxy.learning.choices import JobKind

    email = options.email or str(read_json(data_dir / "demo.json").get("admin_email", "demo@costhub.example"))
    try:
        figures = distil(
            *(options.data, data_dir),
            email=email,
            prompts=options.prompts,
            calls=options.calls,
            name=options.set,
            labels=options.labels,
            kind=JobKind(options.kind),
        )
    except (DataMissing, Failed, AppError) as error:
        print(f"costhub distil: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(figures), indent=2) if options.json else show(figures))
    # A student that no call may be sent to is a result, but not what was asked for.
    return 0 if figures.calls else 1


def _serve_students(data_dir: Path, *, host: str, port: int) -> int:
    """Answer calls with students until a signal comes. Gives 1 where there is no stack."""
    if not _join_stack(data_dir):
        return 1
    from proxy.learning.student_process import run_student_server

    run_student_server(host, port)
    return 0


def _serve_tuned(data_dir: Path, *, host: str, port: int, threads: int) -> int:
    """Answer calls with tuned models until a signal comes. Gives 1 where there is no stack."""
    if not _join_stack(data_dir):
        return 1
    from proxy.learning.lora.server_process import run_tuned_server

    run_tuned_server(host, port, threads=threads)
    return 0


def _serve_scorer(data_dir: Path, *, name: str, host: str, port: int) -> int:
    """Say how likely the tokens of prompts are until a signal comes. Gives 1 where there is no such model, or nothing
    that could run it."""
    if not _join_stack(data_dir):
        return 1
    from django.conf import settings

    from proxy.learning.lora.bases import UnknownBase, find_base

    try:
        base = find_base(name, settings.BASE_MODELS_DIR)
        from proxy.learning.lora.language_models import UnusableBase
        from proxy.learning.lora.prompt_scorer import PromptScorer
        from proxy.learning.lora.scorer_server import run_scorer_server
    except UnknownBase as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"This needs the learning extra, of which {error.name} is not there.", file=sys.stderr)
        return 1
    try:
        scorer = PromptScorer(base)
    except (UnusableBase, MemoryError) as error:
        print(str(error) or "There is too little memory for this model.", file=sys.stderr)
        return 1
    credential = os.environ.get("COSTHUB_SCORER_CREDENTIAL", "")
    run_scorer_server(host, port, scorer=scorer, name=name, credential=credential)
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Have a server take calls of an upstream until a notice comes. Gives 1 where that cannot be."""
    from costhub.client.serving_worker import Gone, Serving, ServingWorker, open_costhub
    from proxy.learning.interruptions import Interruption

    token = os.environ.get("COSTHUB_ADMIN_TOKEN", "")
    if not token:
        print("Give an admin token that may write settings: set COSTHUB_ADMIN_TOKEN.", file=sys.stderr)
        return 1
    interruption = Interruption()
    interruption.listen_to_signals()
    if metadata := os.environ.get("COSTHUB_INSTANCE_METADATA_URL"):
        interruption.poll_cloud(metadata)
    serving = Serving(
        upstream=options.upstream,
        base_url=options.base_url.rstrip("/"),
        busy_url=options.busy_url,
        command=options.server,
        name=options.name,
        weight=options.weight,
        per_hour=options.per_hour,
        gpus=options.gpus,
        project=options.project,
        credential=os.environ.get("COSTHUB_ENDPOINT_CREDENTIAL", ""),
        drain_seconds=options.drain_seconds,
    )
    url = os.environ.get("COSTHUB_URL", f"http://127.0.0.1:{DEFAULT_PORT}")
    try:
        with open_costhub(url, token) as costhub:
            ServingWorker(serving, costhub, interruption).run()
    except (Gone, OSError) as error:
        print(f"costhub serving-worker: {error}", file=sys.stderr)
        return 1
    finally:
        interruption.stop()
    return 0


def _join_stack(data_dir: Path, **usual: str) -> bool:
    """Read the settings of the environment, of the stack in a folder, and those that are usual where neither has one.
    Says, on stderr too, where there are none."""
    for name, value in (usual | read_json(data_dir / "environment.json")).items():
        os.environ.setdefault(name, str(value))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
    if not {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"} <= os.environ.keys():
        print(
            f"There is no stack in {data_dir}: start one with `costhub up`, or set DATABASE_URL, DATABASE_OWNER_URL "
            "and REDIS_URL.",
            file=sys.stderr,
        )
        return False
    django.setup()
    return True


def _run(options: argparse.Namespace) -> int:
    """Become one part. Comes back only where that could not be, after a sentence that says why, with 1."""
    data_dir = options.data_dir.absolute()
    try:
        part = find_part(
            options.part,
            data_dir,
            dict(os.environ),
            host=options.host,
            port=options.port or DEFAULT_PORT,
            workers=options.workers,
        )
        # A setting that cannot be read is said here in a sentence: the part would say it with a traceback.
        import_module(part.environment()["DJANGO_SETTINGS_MODULE"])
        run_part(part)
    except (PartFailed, OSError) as error:
        print(f"costhub run: {error}", file=sys.stderr)
    return 1


def _rotate_master_key(data_dir: Path) -> int:
    """The next step of a rotation, told in a sentence. Gives 1 where something has to be done first."""
    is_ours = MASTER_KEY not in os.environ and MASTER_KEY in read_json(data_dir / "secrets.json")
    if is_ours and begin_rotation(data_dir):
        print("There is a new master key, and the former one still opens. Restart the stack, then run this again.")
        return 0
    # Whoever runs now must know both keys before anything is sealed with the new one.
    started_with = read_json(data_dir / "environment.json").get(MASTER_KEY)
    if is_ours and started_with != read_json(data_dir / "secrets.json")[MASTER_KEY]:
        print("The stack still runs with the former key alone: restart it, then run this again.", file=sys.stderr)
        return 1
    if not _join_stack(data_dir):
        return 1
    from django.conf import settings

    from costhub.ops.master_keys import reseal_everything

    if not settings.MASTER_KEYS.former:
        print(f"There is no former key: docs/security.md says how {FORMER_KEYS} is set first.", file=sys.stderr)
        return 1
    done = reseal_everything()
    print(f"Sealed again: {done.orgs} organisations, {done.factors} second factors.")
    if done.lost:
        print(f"These open with no key that is known: {', '.join(done.lost)}.", file=sys.stderr)
        return 1
    if is_ours:
        end_rotation(data_dir)
        print("The former key is forgotten. Restart the stack, so that no process knows it any more.")
    else:
        print(f"Everything is under {MASTER_KEY}: take {FORMER_KEYS} away, and restart.")
    return 0


def _let_go(options: argparse.Namespace) -> int:
    """Write the data of an organisation, or of one end user of it, down, or erase it. Gives 1 after a sentence that
    says why not."""
    # Where a training worker of this folder's has them unless it is told otherwise.
    near = options.data_dir.absolute() / "checkpoints"
    usual = {"COSTHUB_CHECKPOINTS_URL": near.as_uri()} if near.is_dir() else {}
    if not _join_stack(options.data_dir.absolute(), **usual):
        return 1
    from costhub.lib.errors import AppError
    from costhub.ops.end_users import erase_end_user
    from costhub.ops.erasure import erase_organization
    from costhub.ops.export import export_organization
    from costhub.stack.backup.store import BackupFailed
    from proxy.learning.checkpoints import StoreFailed

    try:
        if options.command == "export-org":
            rows = export_organization(options.org, options.to, end_user=options.end_user)
            print(f"{options.to} has {sum(rows.values()):,} rows of {len(rows)} tables.")
            return 0
        if options.command == "erase-end-user":
            if options.confirm != options.end_user:
                print(f"Nothing was erased: repeat the id, --confirm {options.end_user}.", file=sys.stderr)
                return 1
            forgotten = erase_end_user(options.org, options.end_user)
            print(
                f"Erased: {sum(forgotten.rows.values()):,} rows of {len(forgotten.rows)} tables, {forgotten.answers} "
                f"answers in Valkey, {forgotten.files} files. What was paid for these calls stays."
            )
            return 0
        if options.confirm != options.org:
            print(f"Nothing was erased: repeat the name, --confirm {options.org}.", file=sys.stderr)
            return 1
        gone = erase_organization(
            options.org,
            invoices_are_kept_elsewhere=options.invoices_are_kept_elsewhere,
            files_are_gone=options.files_are_gone,
        )
        print(
            f"Erased: {sum(gone.rows.values()):,} rows of {len(gone.rows)} tables, {gone.keys} keys, {gone.files} files, "
            f"{gone.people} people."
        )
    except (AppError, BackupFailed, StoreFailed, OSError) as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _erase_again(options: argparse.Namespace) -> int:
    """Erase in a database that was brought back who had been erased. Gives 1 after a sentence that says why not."""
    if not _join_stack(options.data_dir.absolute()):
        return 1
    from costhub.ops.erasure import erase_again
    from costhub.stack.backup.store import BackupFailed, BackupStore

    try:
        again = erase_again(BackupStore(options.url).list_erased())
    except (BackupFailed, OSError) as error:
        print(f"costhub erase-again: {error}", file=sys.stderr)
        return 1
    print(f"{len(again)} organisations were there again, and are erased.")
    return 0


def _erase_in_restored(data_dir: Path, org_ids: Sequence[UUID]) -> int:
    """Start the database that was restored, bring its tables to this version, and erase who was erased since. Gives how
    many organisations were there again. Raises PartFailed."""
    postgres = Postgres(data_dir)
    try:
        postgres.start()
        postgres.wait_ready()
        # Nothing is sealed or opened here, and keys come with the stack's start.
        os.environ |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "costhub.settings", "COSTHUB_PRODUCTION": "0"}
        django.setup()
        from costhub.ops.erasure import erase_again

        call_command("migrate", database="owner", interactive=False, verbosity=0)
        again = erase_again(org_ids)
        connections.close_all()
        return len(again)
    finally:
        postgres.stop()


def _keep_or_bring_back(options: argparse.Namespace) -> int:
    """Take a backup or restore one. Gives 0, or 1 after a sentence that says why not."""
    # Its library takes long to import, which `up` need not wait for.
    from costhub.stack.backup.restore import restore
    from costhub.stack.backup.store import BackupFailed, BackupStore
    from costhub.stack.backup.take import open_running, take_backup

    data_dir = options.data_dir.absolute()
    try:
        store = BackupStore(options.url)
        if options.command == "backup":
            backup = take_backup(open_running(data_dir), store, keep=options.keep)
            print(
                f"Backup {backup.name} is kept: {backup.size:,} bytes, good for any moment from {backup.ended_at} on."
            )
        else:
            backup = restore(store, data_dir, options.secrets, options.to)
            erased = store.list_erased()
            again = _erase_in_restored(data_dir, erased) if erased else 0
            until = f"as it was at {options.to}" if options.to else "as late as the log reaches"
            print(
                f"{data_dir} holds the database {until}, from backup {backup.name}. Start it with `costhub up "
                "--no-demo`: counters are then counted again from the ledger."
            )
            if again:
                print(f"Erased again: {again} organisations that had been erased since.")
    except (BackupFailed, PartFailed, OSError) as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="costhub", description="An LLM gateway that accounts to the nano-dollar.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser(
        "up",
        help="start everything; Ctrl-C stops it",
        description="Start PostgreSQL, Valkey, the demo's model, proxy, console and worker; Ctrl-C stops all of it. "
        "With DATABASE_URL and DATABASE_OWNER_URL, or REDIS_URL, in the environment, that server is not started.",
    )
    up.add_argument(
        "--port", type=_port, help=f"of the proxy and the console (default: {DEFAULT_PORT}, or the next free one)"
    )
    up.add_argument(
        "--workers", type=_workers, default=_default_workers(), help="proxy processes (default: %(default)s)"
    )
    run = commands.add_parser(
        "run",
        help="one process, for systemd or a container",
        description="Run one of CostHub's own processes, with everything that it needs in the environment. Nothing else "
        "is started, and nothing migrated.",
    )
    run.add_argument("part", choices=PARTS)
    run.add_argument("--host", default=HOST, help="where the proxy listens (default: %(default)s)")
    run.add_argument("--port", type=_port, help=f"of the proxy (default: {DEFAULT_PORT})")
    run.add_argument(
        "--workers",
        type=_workers,
        default=_default_workers(),
        help="processes of proxy or pages (default: %(default)s)",
    )
    up.add_argument("--no-model", dest="model", action="store_false", help="start no language model")
    up.add_argument("--no-demo", dest="demo", action="store_false", help="make no demo organisation")

    doctor = commands.add_parser("doctor", help="tell how every part is", description="Tell how every part is.")
    doctor.add_argument("--json", action="store_true", help="for programs")

    worker = commands.add_parser(
        "gpu-worker",
        help="train students; SIGTERM or the cloud's notice makes it stop safely",
        description="Work on training jobs. On SIGTERM, or when the cloud takes the machine away, the present state is "
        "made safe and another worker goes on from there. Checkpoints go to COSTHUB_CHECKPOINTS_URL.",
    )
    worker.add_argument("--once", action="store_true", help="end when no job is left")
    worker.add_argument("--name", default="", help="what jobs call this worker (default: host and process)")
    worker.add_argument(
        "--threads",
        type=_count,
        default=1,
        help="of the processor; with one an interrupted training ends with the same bits (default: 1)",
    )

    learns = commands.add_parser(
        "distil",
        help="from prompts to a canary on the running stack, with figures",
        description="Have a stand-in for an expensive teacher answer prompts of a public set through the proxy, make a dataset of "
        "them, train a student, compare it, make it a canary by its route, and send it calls. A stack with the demo is "
        "ready for it.",
    )
    learns.add_argument("--data", type=Path, required=True, help="the folder of data; docs/quality.md says where from")
    learns.add_argument("--set", choices=("clinc150", "headlines"), default="clinc150", help="(default: %(default)s)")
    learns.add_argument(
        "--kind",
        choices=("head", "encoder"),
        default="head",
        help="what is trained: a head, or its encoder too, for which the extra costhub[learning] is needed (default: head)",
    )
    learns.add_argument("--email", default="", help="who may open its page (default: the demo's owner)")
    learns.add_argument("--prompts", type=_count, default=1_500, help="that are learned from (default: %(default)s)")
    learns.add_argument(
        "--labels", type=_count, help="of the set, only the first N (default: 20 intents, 4 directions)"
    )
    learns.add_argument("--calls", type=_count, default=300, help="that are sent in the end (default: %(default)s)")
    learns.add_argument("--json", action="store_true", help="for programs")

    students = commands.add_parser(
        "student-server",
        help="answer calls with students, as an upstream does",
        description="Serve every organisation's students in OpenAI's form. COSTHUB_STUDENTS_URL tells the rest of the "
        "stack where this is. On SIGTERM calls under way end first.",
    )
    students.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    students.add_argument("--port", type=_port, default=STUDENTS_PORT, help="(default: %(default)s)")

    tuned = commands.add_parser(
        "tuned-server",
        help="answer calls with adapters of language models, as an upstream does",
        description="Serve every organisation's tuned models in OpenAI's form, each by a process of llama.cpp. "
        "COSTHUB_TUNED_URL tells the rest of the stack where this is. On SIGTERM calls under way end first.",
    )
    tuned.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    tuned.add_argument("--port", type=_port, default=8021, help="(default: %(default)s)")
    tuned.add_argument("--threads", type=_count, default=2, help="of the processor, for each model (default: 2)")

    scorer = commands.add_parser(
        "scorer-server",
        help="say how likely the tokens of prompts are, as an upstream does",
        description="Serve a small language model as the scorer of a compression policy: completions that echo a prompt "
        "with its log probabilities, in OpenAI's form. Needs the learning extra. COSTHUB_SCORER_CREDENTIAL is what "
        "callers give as their bearer.",
    )
    scorer.add_argument("--model", default="smollm2-135m-instruct", help="(default: %(default)s)")
    scorer.add_argument("--host", default=HOST, help="where it listens (default: %(default)s)")
    scorer.add_argument("--port", type=_port, default=8022, help="(default: %(default)s)")

    serve = commands.add_parser(
        "serving-worker",
        help="one server of an upstream, on a machine that may be taken away",
        description="Register a model server as an endpoint of an upstream. On SIGTERM, or when the cloud takes the "
        "machine away, it drains: no new call comes, and those under way end. COSTHUB_URL and COSTHUB_ADMIN_TOKEN say "
        "where and who; COSTHUB_ENDPOINT_CREDENTIAL is what the server asks of its callers.",
    )
    serve.add_argument("--upstream", required=True, help="whose calls it takes, by name or id")
    serve.add_argument("--base-url", required=True, help="where proxies reach it, such as http://10.0.0.7:8000/v1")
    serve.add_argument(
        "--busy-url",
        default="",
        help="its metrics, such as http://127.0.0.1:8000/metrics: when its last call has ended",
    )
    serve.add_argument("--name", default="", help="what lists call it")
    serve.add_argument("--weight", type=int, default=1, help="its share of the calls (default: 1)")
    serve.add_argument("--per-hour", default="", metavar="USD", help="what an hour of each of its GPUs costs")
    serve.add_argument("--gpus", default="1", metavar="N", help="how many it has, such as 0.5 (default: 1)")
    serve.add_argument("--project", default="", help="who pays for its hours in which nobody calls, by name or id")
    serve.add_argument(
        "--drain-seconds", type=_count, default=110, metavar="N", help="the longest that it waits for its last calls"
    )
    serve.add_argument("server", nargs="*", metavar="COMMAND", help="after --: starts the server, if nobody else does")

    measure = commands.add_parser(
        "eval",
        help="measure what caching, routing and compression save, and what they spoil",
        description="Measure quality on public data, with controls and intervals. docs/quality.md says where it is from.",
    )
    measure.add_argument("subject", choices=("all", "routing", "cascade", "compression", "cache", "distillation"))
    measure.add_argument("--data", type=Path, required=True, help="the folder of data")
    measure.add_argument("--vectors", type=Path, help="a folder that keeps the texts' vectors for the next run")
    measure.add_argument("--json", action="store_true", help="for programs")
    measure.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables into this document, pictures beside it"
    )

    backup = commands.add_parser(
        "backup",
        help="keep the running stack's database",
        description="Keep a base backup of the running stack's database. The stack must run with COSTHUB_BACKUP_URL, so "
        "that the write-ahead log is kept, too.",
    )
    backup.add_argument("--keep", type=_count, metavar="N", help="forget all backups but the newest N")
    back = commands.add_parser(
        "restore",
        help="make a data directory with the database as it was at a moment",
        description="Make a new data directory whose database is as it was at a moment, or as late as what was kept "
        "reaches.",
    )
    back.add_argument("--to", type=_moment, metavar="TIME", help="such as 2026-11-28T12:30:00+01:00")
    back.add_argument(
        "--secrets",
        type=Path,
        metavar="FILE",
        help="the secrets.json of the stack that was; without it set COSTHUB_SECRET_KEY, COSTHUB_KEY_PEPPER and "
        "COSTHUB_MASTER_KEY before the stack starts",
    )
    _take_backup_url(backup)
    _take_backup_url(back)

    rotate = commands.add_parser(
        "rotate-master-key",
        help="seal everything under a new master key, without a stop",
        description="Do the next step of changing the master key: make one (of a stack of `costhub up`), then, once "
        "every process knows both, seal everything under the new one. docs/security.md has the steps.",
    )

    export = commands.add_parser(
        "export-org",
        help="write all of an organisation's data into one archive",
        description="Write every table's rows of an organisation, its files and its people into a ZIP archive. What was "
        "kept of calls is in it in clear; secrets are not in it.",
    )
    export.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    export.add_argument("--to", type=Path, required=True, metavar="FILE", help="must not be there yet")
    export.add_argument("--end-user", default="", metavar="ID", help="only what is kept of this person's calls")
    person = commands.add_parser(
        "erase-end-user",
        help="erase what is kept of one end user's calls",
        description="Erase what one end user of an organisation said and was told: kept answers, the cache, files, "
        "batches, what was captured and learned. What was paid stays. There is no way back.",
    )
    person.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    person.add_argument("end_user", metavar="ID", help="as the organisation's applications give it with calls")
    person.add_argument("--confirm", default="", metavar="ID", help="the same once more")
    erase = commands.add_parser(
        "erase-org",
        help="erase an organisation and all that is known of it",
        description="Close an organisation and erase it: rows, files, what Valkey holds, and people who belong to no "
        "other one. There is no way back.",
    )
    erase.add_argument("org", metavar="SLUG", help="as it stands in the console's addresses")
    erase.add_argument("--confirm", default="", metavar="SLUG", help="the same once more")
    erase.add_argument(
        "--invoices-are-kept-elsewhere", action="store_true", help="erase issued invoices too, which the law wants kept"
    )

    erase.add_argument(
        "--files-are-gone", action="store_true", help="erase although none of its files is in the store of files"
    )
    again = commands.add_parser(
        "erase-again",
        help="erase who had been erased, after a database was brought back by its own tools",
        description="Erase the organisations that were erased since the moment of a backup: `costhub restore` does so "
        "itself, a database that somebody else brings back needs it before anything is started on it.",
    )
    _take_backup_url(again)

    add_parser(commands)

    for command in (
        up,
        run,
        doctor,
        worker,
        learns,
        students,
        scorer,
        tuned,
        backup,
        back,
        rotate,
        export,
        person,
        erase,
        again,
    ):
        command.add_argument(
            "--data-dir", type=Path, default=Path("var"), help="where everything is kept (default: var)"
        )
    return parser


def _take_backup_url(command: argparse.ArgumentParser) -> None:
    url = os.environ.get("COSTHUB_BACKUP_URL", "")
    command.add_argument(
        "--url",
        default=url,
        required=not url,
        help="file:///a/folder or s3://bucket/prefix (default: COSTHUB_BACKUP_URL)",
    )


def _default_workers() -> int:
    """Half of the processors: the other half is for PostgreSQL, Valkey and the Celery worker."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _port(text: str) -> int:
    return _whole(text, 1, 65_535)


def _count(text: str) -> int:
    return _whole(text, 1, 10_000)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a moment such as 2026-11-28T12:30:00+01:00") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r}: say of which time zone, such as {text}Z")
    return moment


def _workers(text: str) -> int:
    return _whole(text, 1, 64)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {low} to {high}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
