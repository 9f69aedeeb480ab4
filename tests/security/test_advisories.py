"""The audit of what is pinned finds what is planted, and nothing in what we pin."""

import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.security import advisories
from tests.security.advisories import Pin, find_affected, keep, read_all_pins, read_pins, read_records, read_snapshot


def record(name: str, *events: dict[str, str], versions: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    package = {"ecosystem": "PyPI", "name": name}
    return {"id": "PYSEC-1", "affected": [{"package": package, "ranges": ranges, "versions": list(versions)}], **more}


def pin(name: str, version: str) -> Pin:
    return Pin(canonicalize_name(name), Version(version))


def test_nothing_that_we_pin_is_known_to_be_vulnerable() -> None:
    _, records = read_snapshot()
    assert [str(finding) for finding in find_affected(read_all_pins(), records)] == []


def test_every_lock_is_read() -> None:
    pins = read_all_pins()
    names = {one.name for one in pins}
    assert {"django", "pytest", "uv", "torch"} <= names
    assert len(pins) >= 150


def test_the_snapshot_speaks_of_what_we_pin() -> None:
    _, records = read_snapshot()
    assert records
    assert keep(records, {one.name for one in read_all_pins()}) == records


def test_an_old_snapshot_is_told_by_its_day() -> None:
    assert advisories.warn_of_age(date(2026, 10, 2), date(2026, 12, 1)) is None
    told = advisories.warn_of_age(date(2026, 10, 1), date(2026, 12, 1))
    assert told is not None
    assert told.startswith("WARNING: THE SNAPSHOT IS OF 2026-10-01, 61 DAYS AGO. What became known since is not in it")


def test_the_audit_says_how_old_its_snapshot_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "advisories.json"
    written.write_text(json.dumps({"as_of": "2024-10-08", "records": []}))
    monkeypatch.setattr(advisories, "SNAPSHOT", written)
    monkeypatch.setattr("sys.argv", ["advisories"])
    assert advisories.main() == 0
    told = capsys.readouterr()
    assert told.out.endswith("0 advisories as of 2024-10-08: 0 affected\n")
    assert told.err.startswith("WARNING: THE SNAPSHOT IS OF 2024-10-08, ")


@pytest.mark.parametrize("name", ["django", "cryptography", "hiredis"])
def test_a_planted_advisory_is_found(name: str) -> None:
    """Of each of our own pins: the version that the lock has, and every one from there on."""
    ours = next(one for one in read_all_pins() if one.name == name)
    planted = record(name.upper(), {"introduced": str(ours.version)})
    (finding,) = find_affected(read_all_pins(), [planted])
    assert str(finding) == f"{name} {ours.version}: PYSEC-1, no version is mended"


def test_an_older_version_of_what_we_pin_is_found_by_the_snapshot() -> None:
    """As a pin that is set back would be."""
    _, records = read_snapshot()
    found = find_affected(read_pins("django==4.2.15 \\\n    --hash=sha256:00\njinja2==2.11.2\n"), records)
    assert {finding.pin.name for finding in found} == {"django", "jinja2"}
    assert all(finding.fixed for finding in found)


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [("0.9", False), ("1.0rc1", False), ("1.0", True), ("1.9.9", True), ("2.0", False), ("2.5", True), ("2.6", False)],
)
def test_ranges_begin_and_end(version: str, is_affected: bool) -> None:
    told = record("a", {"introduced": "1.0"}, {"fixed": "2.0"}, {"introduced": "2.1"}, {"last_affected": "2.5"})
    found = find_affected([pin("a", version)], [told])
    assert bool(found) is is_affected
    assert [finding.fixed for finding in found] == [("2.0",)] * is_affected


def test_a_range_from_the_beginning_has_previews_in_it() -> None:
    assert find_affected([pin("a", "0.0.1a1")], [record("a", {"introduced": "0"}, {"fixed": "1"})])


def test_a_build_of_a_version_is_that_version() -> None:
    told = record("torch", {"introduced": "0"}, {"last_affected": "2.13.0"})
    assert find_affected(read_pins("torch==2.13.0+cpu \\\n"), [told])


def test_versions_may_be_named_one_by_one_however_they_are_written() -> None:
    named = record("A_b", versions=("not-a-version", "1.82.7", "1.0"))
    assert find_affected([pin("a-b", "1.82.7"), pin("a-b", "1")], [named])
    assert not find_affected([pin("a-b", "1.82.6")], [named])


def test_one_fault_under_two_names_is_told_once_and_may_be_accepted_by_either() -> None:
    pins = [pin("a", "1")]
    first = record("a", {"introduced": "0"}, id="GHSA-1", aliases=["CVE-1"])
    second = record("a", {"introduced": "0"}, id="PYSEC-1", aliases=["CVE-1"])
    assert [finding.advisory for finding in find_affected(pins, [second, first])] == ["GHSA-1"]
    assert find_affected(pins, [first, second], accepted=["CVE-1"]) == []
    assert find_affected(pins, [record("a", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z")]) == []


def test_a_package_of_another_registry_is_not_ours() -> None:
    told = record("django", {"introduced": "0"})
    told["affected"][0]["package"]["ecosystem"] = "npm"
    assert find_affected(read_all_pins(), [told]) == []


def test_a_snapshot_is_made_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, written = tmp_path / "all.zip", tmp_path / "advisories.json"
    told = [
        record("Django", {"introduced": "0"}, details="long", id="B"),
        record("nobody-pins-this", {"introduced": "0"}, id="C"),
        record("django", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z", id="D"),
        record("django", {"introduced": "9999"}, id="A"),
    ]
    with zipfile.ZipFile(archive, "w") as made:
        for one in told:
            made.writestr(f"{one['id']}.json", json.dumps(one))
    assert [one["id"] for one in read_records(archive)] == ["B", "C", "D", "A"]
    monkeypatch.setattr(advisories, "SNAPSHOT", written)
    monkeypatch.setattr("sys.argv", ["advisories", "--from", str(archive)])
    assert advisories.main() == 1
    as_of, records = read_snapshot()
    assert [one["id"] for one in records] == ["A", "B"]
    assert as_of.year >= 2026
    assert "details" not in written.read_text()
