"""All of an organisation's data in one archive: each table as lines of JSON, its files, its people.

Secrets stay behind: they open nowhere else. What was sealed because somebody said it in a call is opened.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from costhub.lib import clock
from costhub.lib.database import take_turn
from costhub.lib.errors import NotFound
from costhub.lib.objects import Objects
from costhub.lib.secrets import UnusableCredential
from costhub.ops.end_users import WHOSE
from costhub.ops.owners import check_owner
from costhub.ops.tenant_tables import OWNER, TenantTable, list_tenant_tables
from proxy.answers.store import open_packed
from proxy.batches.ids import object_path
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.sealed_lines import ANSWER, BODY, place_of_line
from proxy.cache.sealed_questions import ASKED, KEPT_QUESTION, place_of_lookup, place_of_question
from proxy.edges.capture import place_of
from proxy.learning.lora.sealed import ADAPTER, ENCODER, SERVED, place_of_file
from proxy.learning.sealing import EXAMPLE, PROMPTS, Unreadable, unseal
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.models import Organization
from tenants.sealed_rows import Sealer

#: the rows of a statement, as JSON
Read = Callable[[str], Iterator[str]]
#: what opens a column of a row
Open = Callable[[Organization, dict[str, Any], bytes], str]


def _sealed_for(place: Callable[[str], str]) -> Open:
    return lambda org, row, sealed: unseal(org, place(row["id"]), sealed)


def _open_answer(org: Organization, row: dict[str, Any], packed: bytes) -> str:
    return open_packed(_sealer_of(org), row["kind"], row["answer_id"], packed).decode()


def _open_line(what: str) -> Open:
    return lambda org, row, content: (
        _sealer_of(org).open(place_of_line(row["batch_id"], row["number"], what), content).decode("utf-8", "replace")
    )


def _open_question(org: Organization, row: dict[str, Any], text: bytes) -> str:
    return _sealer_of(org).open_text(place_of_question(row["id"]), text.decode())


def _open_lookup(column: str) -> Open:
    return lambda org, row, text: _sealer_of(org).open_text(place_of_lookup(row["request_id"], column), text.decode())


def _sealer_of(org: Organization) -> Sealer:
    return Sealer(str(org.pk), bytes(org.data_key))


#: columns with people's words in them, and what opens each: what PostgreSQL shows as bytes, or the column's text
OPENED: Final[dict[str, Open]] = {
    "proxy_batchline.answer": _open_line(ANSWER),
    "proxy_batchline.body": _open_line(BODY),
    "proxy_cacheentry.question": _open_question,
    "proxy_cachelookup.asked": _open_lookup(ASKED),
    "proxy_cachelookup.kept_question": _open_lookup(KEPT_QUESTION),
    "proxy_capturedcall.sealed": _sealed_for(place_of),
    "proxy_learnedexample.sealed": _sealed_for(lambda row_id: f"{EXAMPLE} {row_id}"),
    "proxy_storedanswer.packed": _open_answer,
    "proxy_student.encoder": _sealed_for(lambda row_id: place_of_file(row_id, ENCODER)),
    "proxy_teacherrun.prompts": _sealed_for(lambda row_id: f"{PROMPTS} {row_id}"),
    "proxy_tunedmodel.adapter": _sealed_for(lambda row_id: place_of_file(row_id, ADAPTER)),
    "proxy_tunedmodel.served": _sealed_for(lambda row_id: place_of_file(row_id, SERVED)),
}
#: of the people who are members
_PEOPLE: Final = (
    "SELECT jsonb_build_object('id', person.id, 'email', person.email, 'last_login', person.last_login, 'since',"
    " member.created_at, 'role', member.role)::text FROM tenants_membership member"
    " JOIN tenants_user person ON person.id = member.user_id WHERE member.org_id = %(org)s ORDER BY person.id"
)
_NOTHING: Final = "\\x"
_UNREADABLE: Final = "cannot be opened: it was sealed with another key"


def export_organization(slug: str, target: Path, *, end_user: str = "") -> dict[str, int]:
    """Write the archive, with ``end_user`` of what is kept of one person's calls; gives how many rows of each table are
    in it. All tables as they were at one moment.

    It is written beside its place, and there when it is whole: one that was interrupted leaves nothing that could be
    taken for an archive, or would be in the next one's way. Raises NotFound, and FileExistsError where there is
    something already, or another export writes it at this moment.
    """
    _refuse_taken(target)
    org = Organization.objects.using(OWNER).filter(slug=slug).first()
    if org is None:
        raise NotFound("There is no such organisation.")
    with job_scope(org.pk) as owner:
        record(owner, "exported", org, **({"end_user": end_user} if end_user else {}))
    manifest = _begin_manifest(org, end_user)
    part = target.with_name(f".{target.name}.part")
    with _alone(part, target) as file:
        with transaction.atomic(using=OWNER):
            _write_archive(file, org, manifest, connections[OWNER])
        _give_name(part, target)
    return {name: int(told["rows"]) for name, told in manifest["tables"].items()}


def export_own(*, actor: Actor) -> BinaryIO:
    """The archive of the actor's organisation, in a file without a name, at its beginning; for an owner who has just
    signed in. One at a time. Raises Forbidden, StaleSession, and Conflict while another is being written.

    It is read with the application's own role, over a connection that nobody else has: what its transaction sees is of
    one moment, and of that organisation alone.
    """
    check_owner(actor)
    take_turn(f"export {actor.org.pk}")
    record(actor, "exported", actor.org)
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - whoever sends it closes it
    connection = connections.create_connection("default")
    try:
        connection.set_autocommit(False)
        _write_archive(file, actor.org, _begin_manifest(actor.org), connection)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    finally:
        connection.close()
    return file


def _begin_manifest(org: Organization, end_user: str = "") -> dict[str, Any]:
    whose = {"end_user": end_user} if end_user else {}
    return {"organization": org.slug, "id": str(org.pk), "at": clock.now().isoformat(), "tables": {}} | whose


def _refuse_taken(target: Path) -> None:
    if target.exists():
        raise FileExistsError(f"{target} is there already.")


@contextmanager
def _alone(part: Path, target: Path) -> Iterator[BinaryIO]:
    """A new file that nobody else writes or reads, and that goes when this ends; the lock on it ends with its process.
    Raises FileExistsError where somebody writes it."""
    file: BinaryIO
    while True:
        try:
            file, is_left = part.open("xb"), False
        except FileExistsError:
            try:
                file, is_left = os.fdopen(os.open(part, os.O_RDONLY | os.O_NOFOLLOW), "rb"), True
            except FileNotFoundError:
                continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FileExistsError(f"{target} is being written by another export.") from None
            if not _is_named(file, part):
                # Whoever had it has ended between our opening it and our locking it.
                continue
            try:
                if is_left:
                    # By one that was killed.
                    continue
                part.chmod(0o600)
                _refuse_taken(target)
                yield file
            finally:
                part.unlink(missing_ok=True)
            return


def _is_named(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _give_name(part: Path, target: Path) -> None:
    """A name that somebody else has taken meanwhile stays theirs. Raises FileExistsError then."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links, as on a stick, keeps what took an hour to write all the same.
        _refuse_taken(target)
        part.rename(target)


def _write_archive(file: BinaryIO, org: Organization, manifest: dict[str, Any], connection: Connection) -> None:
    """Within a transaction of the connection's in which nothing was asked yet."""
    end_user = manifest.get("end_user", "")
    read = partial(_read, connection, {"org": org.pk, "end_user": end_user})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SELECT set_config('costhub.orgs', %s, true)", [f"{{{org.pk}}}"])
        for table in list_tenant_tables(connection):
            if end_user and table.name not in WHOSE:
                continue
            lines = _read_rows(read, org, table, _rows_of(table.name, end_user))
            manifest["tables"][table.name] = {**_write(archive, table.name, lines), "left_out": table.left_out}
        if not end_user:
            _write_people(archive, read, manifest)
        files = read(f"SELECT id::text FROM proxy_storedfile WHERE {_rows_of('proxy_storedfile', end_user)}")  # noqa: S608
        manifest["files"] = asyncio.run(_write_files(archive, org, [UUID(row) for row in files]))
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))


def _write_people(archive: zipfile.ZipFile, read: Read, manifest: dict[str, Any]) -> None:
    """The members, and the organisation itself."""
    people = read("SELECT * FROM (" + _PEOPLE + ") people")  # noqa: S608 - a constant
    manifest["tables"]["people"] = {**_write(archive, "people", people), "left_out": ["password"]}
    mine = read("SELECT (to_jsonb(mine) - 'data_key')::text FROM tenants_organization mine WHERE id = %(org)s")
    manifest["tables"]["tenants_organization"] = {
        **_write(archive, "tenants_organization", mine),
        "left_out": ["data_key"],
    }


def _rows_of(table: str, end_user: str) -> str:
    return f"org_id = %(org)s AND {WHOSE[table]}" if end_user else "org_id = %(org)s"


def _read(connection: Connection, who: dict[str, Any], statement: str) -> Iterator[str]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, who)
        while rows := cursor.fetchmany(500):
            yield from (str(row[0]) for row in rows)


def _read_rows(read: Read, org: Organization, table: TenantTable, of_whom: str) -> Iterator[str]:
    opened = {
        column: OPENED[f"{table.name}.{column}"] for column in table.columns if f"{table.name}.{column}" in OPENED
    }
    left_out = "".join(f" - '{column}'" for column in table.left_out)
    statement = f'SELECT (to_jsonb(mine){left_out})::text FROM "{table.name}" mine WHERE {of_whom}'  # noqa: S608
    for line in read(statement):
        yield _open(org, line, opened, table.binary) if opened else line


def _open(org: Organization, line: str, opened: dict[str, Open], binary: Collection[str]) -> str:
    row = orjson.loads(line)
    for column, opens in opened.items():
        # Where something was withdrawn nothing is left to open.
        if row[column] not in (None, _NOTHING):
            try:
                row[column] = opens(org, row, _bytes_of(row[column], is_text=column not in binary))
            except (Unreadable, UnusableCredential):
                row[column] = _UNREADABLE
    return orjson.dumps(row).decode()


def _bytes_of(value: str, *, is_text: bool) -> bytes:
    return value.encode() if is_text else bytes.fromhex(value.removeprefix(_NOTHING))


def _write(archive: zipfile.ZipFile, name: str, lines: Iterator[str]) -> dict[str, Any]:
    digest, rows = hashlib.sha256(), 0
    with archive.open(f"tables/{name}.jsonl", "w", force_zip64=True) as file:
        for line in lines:
            written = line.encode() + b"\n"
            file.write(written)
            digest.update(written)
            rows += 1
    return {"rows": rows, "sha256": digest.hexdigest()}


async def _write_files(archive: zipfile.ZipFile, org: Organization, file_ids: list[UUID]) -> dict[str, str]:
    """Each file's digest. One whose bytes are gone, because it was deleted meanwhile, is named as that."""
    files, told = SealedFiles(Objects(settings.FILES_URL), _sealer_of(org)), {}
    for file_id in file_ids:
        digest = hashlib.sha256()
        with archive.open(f"files/{file_id.hex}", "w", force_zip64=True) as file:
            try:
                async for part in files.stream(object_path(org.pk, file_id)):
                    file.write(part)
                    digest.update(part)
            except FileNotFoundError:
                told[file_id.hex] = "gone"
                continue
        told[file_id.hex] = digest.hexdigest()
    return told
