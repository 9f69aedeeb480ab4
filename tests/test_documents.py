"""What the documents list by hand is there: jobs, folders, settings, and what links lead to."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from costhub.ops.schedule import JOBS, Job

ROOT: Final = Path(__file__).resolve().parent.parent
CODE: Final = ("costhub", "tenants", "proxy", "billing")
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
#: said once for all apps, above the tree
CONVENTIONAL: Final = {"actions", "api", "commands", "core", "management", "migrations", "models", "selectors"}
#: read by name, and set by nobody but our own entry points
INTERNAL: Final = {"COSTHUB_SERVES_PAGES", "COSTHUB_ARCHIVE_STATE", "COSTHUB_PULSE"}
#: in the table, and read by others than costhub: Django, every program, the suite
OF_OTHERS: Final = {"DJANGO_SETTINGS_MODULE", "COSTHUB_CHROMIUM"}
A_SETTING: Final = re.compile(r"(?:COSTHUB|STRIPE|OTEL|DATABASE|REDIS|PROMETHEUS)_[A-Z_]+")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def period(job: Job) -> str:
    return f"{job.every_seconds:g} s" if job.minute is None else f"hour, at :{job.minute:02d}"


def test_the_table_of_jobs_has_every_job_with_its_period() -> None:
    section = read("docs/operations.md").partition("\n## Jobs\n")[2].partition("\n## ")[0]
    table = {tuple(re.findall(r"`(\w+)`", names)): every for names, every, *_ in rows(section) if "`" in names}
    assert sorted(name for names in table for name in names) == sorted(job.name for job in JOBS)
    alone = {names[0]: every for names, every in table.items() if len(names) == 1}
    assert alone == {job.name: period(job) for job in JOBS if job.name in alone}


def folders() -> set[str]:
    found = {path.parent for app in CODE for path in ROOT.joinpath(app).rglob("*.py")}
    found |= {path.parent for top in ("bench", "deploy") for path in ROOT.joinpath(top).rglob("*") if path.is_file()}
    names = {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}
    # What a bench has installed lies in hidden ones.
    names = {name for name in names if not any(part.startswith(".") for part in name.split("/"))}
    return {name for name in names if Path(name).name not in CONVENTIONAL and "generated" not in name} - {"deploy"}


def test_the_tree_of_the_architecture_has_every_folder_and_no_other() -> None:
    tree = read("docs/architecture.md").partition("\n## The tree\n")[2].partition("```\n")[2].partition("```")[0]
    named = {folder.rstrip("/") for folder in re.findall(r"(?:^|^\S+/ )(\S+/)(?= )", tree, re.M)}
    assert folders() - named == set()
    assert {folder for folder in named if not ROOT.joinpath(folder).is_dir()} == set()


def settings_that_are_read() -> set[str]:
    found = set()
    for path in (path for app in CODE for path in ROOT.joinpath(app).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and A_SETTING.fullmatch(node.value):
                found.add(node.value)
    return found


def test_the_table_of_the_environment_has_what_is_read_and_nothing_else() -> None:
    section = read("README.md").partition("\n## Environment\n")[2].partition("\n## ")[0]
    table = {name for names, *_ in rows(section) for name in re.findall(r"`(\w+)`", names)}
    table -= {"PATH", "HOME", "LANG", "TMPDIR"}
    assert table - OF_OTHERS == settings_that_are_read() - INTERNAL


def number_of(node: ast.expr) -> int:
    """A whole number as a setting's default or bound is written: in figures, as a product or power, or by a case whose
    usual outcome stands last."""
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return number_of(left) * number_of(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return int(number_of(left) ** number_of(right))
        case ast.IfExp(orelse=usual):
            return number_of(usual)
    raise AssertionError(f"no number: {ast.unparse(node)}")


def whole_settings() -> Iterator[tuple[str, int, str]]:
    """The settings that are whole numbers: their names, defaults, and bounds as people write them."""
    for node in ast.walk(ast.parse(read("costhub/settings.py"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_whole":
            name, default, least, most = node.args
            if not isinstance(name, ast.Constant):
                continue  # a name that others read too, and that stands where they find it
            yield ast.literal_eval(name), number_of(default), f"{number_of(least):,} to {number_of(most):,}"


def test_the_table_of_the_environment_has_the_defaults_and_bounds_of_whole_numbers() -> None:
    section = read("README.md").partition("\n## Environment\n")[2].partition("\n## ")[0]
    table = {names.strip("`"): (default, meaning) for names, default, meaning in rows(section)}
    wrong = set()
    for name, default, bounds in whole_settings():
        told, meaning = table[name]
        says_others = re.search(r"[\d,]+ to [\d,]+", meaning) and bounds not in meaning
        if f"`{default}`" not in told or says_others:
            wrong.add((name, default, bounds))
    assert wrong == set()


def anchors(text: str) -> set[str]:
    """Headings as GitHub's addresses name them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            lost.append(target)
    assert lost == []
