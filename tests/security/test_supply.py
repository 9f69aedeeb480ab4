"""What comes with packages, and what our own code and templates may not do, where no linter looks."""

import inspect
import json
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import pytest
from django.urls import get_resolver
from packaging.utils import canonicalize_name
from rest_framework.views import APIView

from tests.security.test_audited import views
from tests.security.test_ways_out import ROOT, imported, modules

#: files that Python runs at every start, whatever it starts for: a favourite of malicious packages
PTH: Final = {
    "__editable__.costhub-0.1.0.pth": "ourselves",
    "a1_coverage.pth": "coverage of processes that tests start; does nothing without its variable",
    "distutils-precedence.pth": "setuptools",
}
#: pages that take a POST without a form's token, and who is believed there instead. The API's views look for the
#: token themselves, where a cookie says who somebody is
WITHOUT_TOKEN: Final = {
    "billing.invoices.api.webhooks.receive_stripe": "Stripe, by its signature",
    "costhub.console.alerts.unsubscribe": "a mail's token",
    "costhub.console.hints.add_v1": "nobody: it only says where to go",
    "costhub.console.single_sign_on.refuse_logout": "nobody: it refuses",
    "costhub.console.single_sign_on.take_assertion": "an identity provider, by its signature",
    "tenants.api.problems.answer_unknown_path": "nobody: it only says that there is nothing",
}
#: words that are not escaped, and whose they are
UNESCAPED: Final = {
    "templates/allauth/elements/fields.html": ["|safe"],  # the help texts of Django's and allauth's own forms
    "templates/mfa/totp/activate_form.html": ["|safe"],  # a picture that allauth draws
}
LOCKS: Final = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-bootstrap.lock",
    "requirements-learning.lock",
)


def test_nothing_runs_at_every_start_but_what_we_know() -> None:
    folder = Path(sysconfig.get_paths()["purelib"])
    assert {path.name for path in folder.glob("*.pth")} <= PTH.keys()
    assert not (folder / "sitecustomize.py").exists()
    assert not (folder / "usercustomize.py").exists()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_its_digests(lock: str) -> None:
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    loose = [line[:60] for line in lines if not re.match(r"[\w.\[\],-]+==\S+.*--hash=sha256:[0-9a-f]{64}", line)]
    assert loose == []


@pytest.mark.processes
def test_the_bill_of_materials_has_what_is_installed(tmp_path: Path) -> None:
    """As `make sbom` makes it: each package once, with its version and where it is from, as CycloneDX 1.6 has it."""
    target = tmp_path / "sbom.json"
    program = str(Path(sys.executable).parent / "cyclonedx-py")
    options = ("--output-reproducible", "--no-validate", "--output-file", str(target))
    subprocess.run([program, "environment", sys.executable, *options], check=True, capture_output=True)
    bill = json.loads(target.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = [(canonicalize_name(part["name"]), part["version"]) for part in bill["components"]]
    installed = {(canonicalize_name(each.metadata["Name"]), each.version) for each in distributions()}
    assert sorted(listed) == sorted(installed)
    purls = {part["purl"].partition("@")[0] for part in bill["components"] if "purl" in part}
    assert purls >= {f"pkg:pypi/{name}" for name in ("django", "httptools", "cryptography", "uvicorn")}
    # What is pinned and used at run time is among it.
    pinned = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {(canonicalize_name(name), version) for name, version in pinned} <= set(listed)


def test_templates_escape_everything() -> None:
    loose = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / "templates").rglob("*.html")
        if (found := re.findall(r"\|\s*safe(?:seq)?\b|autoescape\s+off|<script(?![^>]*\bsrc=)[^>]*>", path.read_text()))
    }
    assert loose == UNESCAPED


def test_a_form_without_a_token_is_known() -> None:
    exempt = {
        f"{plain.__module__}.{plain.__qualname__}"
        for view in views(get_resolver())
        if getattr(view, "csrf_exempt", False) and not issubclass(getattr(view, "cls", object), APIView)
        for plain in [inspect.unwrap(view)]
        if not plain.__module__.startswith("allauth.")
    }
    assert exempt == WITHOUT_TOKEN.keys()


#: who may say that a text is HTML already: a drawing of numbers, whose few names are escaped where it is made
MARKS: Final = {"costhub.console.routes": {"django.utils.safestring.mark_safe"}}


def test_no_code_takes_words_for_html_or_programs() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "yaml", "jsonpickle", "code"}
    marked = {"django.utils.safestring.mark_safe", "django.utils.html.mark_safe"}
    found = {
        name: names
        for name, tree in modules()
        if (names := {one for one in imported(tree) if one.split(".")[0] in forbidden or one in marked})
    }
    assert found == MARKS
