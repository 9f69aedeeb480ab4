"""Known vulnerabilities of what the lock files pin, by a snapshot of advisories that lies beside this file.

It asks nobody: ``make audit`` is a part of ``make check``. The snapshot is a date, a word on where it comes from, and
records in OSV's form (https://ossf.github.io/osv-schema/), of each its identifiers and what it affects.
``make advisories FROM=all.zip`` makes it anew from the archive of records that OSV publishes for PyPI, or from a folder
of them: it keeps those that name a package of ours, and none that was withdrawn.
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT: Final = Path(__file__).resolve().parents[2]
SNAPSHOT: Final = Path(__file__).with_name("advisories.json")
LOCKS: Final = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-bootstrap.lock",
    "requirements-learning.lock",
)
#: a snapshot that is older is said to be old: new advisories come every day
OLD_AFTER_DAYS: Final = 60
#: advisories that do not reach us, and why not
ACCEPTED: Final[Mapping[str, str]] = {}

_PIN: Final = re.compile(r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;\\]+)", re.MULTILINE)

Record = dict[str, Any]


class Pin(NamedTuple):
    """A package in one version, as a lock file says."""

    name: NormalizedName
    version: Version


class Finding(NamedTuple):
    """A pin that an advisory names; ``fixed`` are the versions that it calls mended."""

    pin: Pin
    advisory: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        cure = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no version is mended"
        return f"{self.pin.name} {self.pin.version}: {self.advisory}, {cure}"


def read_pins(text: str) -> set[Pin]:
    """What a lock file pins. Raises InvalidVersion."""
    # Advisories know 2.13.0, and not 2.13.0+cpu.
    return {Pin(canonicalize_name(name), Version(version.partition("+")[0])) for name, version in _PIN.findall(text)}


def find_affected(pins: Iterable[Pin], records: Iterable[Record], accepted: Iterable[str] = ACCEPTED) -> list[Finding]:
    """Pins that an advisory affects, but for those that are accepted, by whichever of their names. Each once: a record
    that is another's alias says nothing new."""
    by_name: dict[NormalizedName | None, list[Pin]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, []).append(pin)
    found: list[Finding] = []
    known: set[tuple[Pin, str]] = set()
    for record in sorted(records, key=lambda one: str(one["id"])):
        names = {record["id"], *record.get("aliases", ())}
        if record.get("withdrawn") or not names.isdisjoint(accepted):
            continue
        for affected in record.get("affected", ()):
            for pin in by_name.get(_name(affected), ()):
                if _is_affected(pin.version, affected) and all((pin, name) not in known for name in names):
                    found.append(Finding(pin, record["id"], tuple(_fixes(affected))))
                    known |= {(pin, name) for name in names}
    return sorted(found)


def keep(records: Iterable[Record], names: Iterable[NormalizedName]) -> list[Record]:
    """Of the records those that name one of these packages, cut down to what ``find_affected`` reads."""
    wanted = set(names)
    kept = []
    for record in records:
        affected = [_cut_down(one) for one in record.get("affected", ()) if _name(one) in wanted]
        if affected and not record.get("withdrawn"):
            kept.append({"id": record["id"], "aliases": record.get("aliases", []), "affected": affected})
    return sorted(kept, key=lambda one: str(one["id"]))


def _cut_down(affected: Record) -> Record:
    ranges = [one for one in affected.get("ranges", ()) if one.get("type") == "ECOSYSTEM"]
    # Where both are told, versions are those of the ranges, one by one.
    versions = [] if ranges else affected.get("versions", [])
    return {"package": {"ecosystem": "PyPI", "name": _name(affected)}, "ranges": ranges, "versions": versions}


def read_records(source: Path) -> Iterator[Record]:
    """Every record of an archive or a folder of OSV's JSON."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            yield json.loads(path.read_bytes())
    else:
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield json.loads(archive.read(name))


def _name(affected: Record) -> NormalizedName | None:
    package = affected.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" else None


def _is_affected(version: Version, affected: Record) -> bool:
    if any(_same(version, text) for text in affected.get("versions", ())):
        return True
    return any(_is_within(version, one) for one in affected.get("ranges", ()) if one.get("type") == "ECOSYSTEM")


def _is_within(version: Version, told: Record) -> bool:
    """Whether it lies between an event that introduces and the one that ends it, as OSV's specification reads them."""
    is_within = False
    for at, kind in sorted((_order(text), kind) for event in told["events"] for kind, text in event.items()):
        if kind == "introduced" and version >= at:
            is_within = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            is_within = False
    return is_within


def _order(text: str) -> Version:
    return Version("0.dev0") if text == "0" else Version(text)


def _same(version: Version, text: str) -> bool:
    try:
        return version == Version(text)
    except InvalidVersion:
        return False


def _fixes(affected: Record) -> list[str]:
    return [
        event["fixed"]
        for one in affected.get("ranges", ())
        if one.get("type") == "ECOSYSTEM"
        for event in one["events"]
        if "fixed" in event
    ]


def read_all_pins() -> set[Pin]:
    """What the project's lock files pin."""
    return {pin for lock in LOCKS for pin in read_pins((ROOT / lock).read_text())}


def read_snapshot() -> tuple[date, list[Record]]:
    """(the day on which it was true, its records)"""
    told = json.loads(SNAPSHOT.read_text())
    return date.fromisoformat(told["as_of"]), told["records"]


def write_snapshot(source: Path, as_of: date) -> int:
    """Make the snapshot anew; returns how many records it has."""
    kept = keep(read_records(source), {pin.name for pin in read_all_pins()})
    head = {"as_of": as_of.isoformat(), "source": f"OSV's records for PyPI, from {source.name}"}
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in kept)
    SNAPSHOT.write_text(json.dumps(head)[:-1] + ', "records": [\n' + lines + "\n]}\n")
    return len(kept)


def warn_of_age(as_of: date, today: date) -> str | None:
    """What to say of a snapshot of that day, in capitals where nobody reads on; None while it is new."""
    days = (today - as_of).days
    if days <= OLD_AFTER_DAYS:
        return None
    return (
        f"WARNING: THE SNAPSHOT IS OF {as_of}, {days} DAYS AGO. What became known since is not in it, and nobody was asked."
        " Before a release fetch OSV's archive for PyPI (docs/security.md, Dependencies) and run `make advisories"
        " FROM=all.zip`, or `make audit-online`."
    )


def main() -> int:
    """See above; 1 where a pin is affected. An old snapshot is a warning on stderr."""
    parser = argparse.ArgumentParser(prog="advisories")
    parser.add_argument("--from", dest="source", type=Path, help="make the snapshot anew, from these records")
    source: Path | None = parser.parse_args().source
    if source is not None:
        print(f"{write_snapshot(source, datetime.now(UTC).date())} records kept")
    as_of, records = read_snapshot()
    pins = read_all_pins()
    found = find_affected(pins, records)
    for finding in found:
        print(finding)
    print(f"{len(pins)} pins, {len(records)} advisories as of {as_of}: {len(found)} affected")
    if warning := warn_of_age(as_of, datetime.now(UTC).date()):
        print(warning, file=sys.stderr)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
