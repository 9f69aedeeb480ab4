"""Popular agents and chat programs, pointed at the proxy as their documents say. They are installed from the package
index into an environment of their own, so that this is one of the long runs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tenants.choices import UpstreamKind
from tests.bank import Bank, answer_text
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_budget, make_catalog

pytestmark = pytest.mark.soak

HERE: Final = Path(__file__).resolve().parent / "agents"
#: which model's upstream speaks what
KINDS: Final = {
    "local": UpstreamKind.OPENAI_COMPATIBLE,
    "gpt": UpstreamKind.OPENAI,
    "claude": UpstreamKind.ANTHROPIC,
}
SAID: Final = answer_text().strip()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the programs."""
    folder = tmp_path_factory.mktemp("agents")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=PATIENCE_SECONDS)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True, capture_output=True, timeout=300)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("agents-proxy")) as proxy:
        yield proxy


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """With a model at an upstream of each kind, each at the same price, and a budget."""
    for model, kind in KINDS.items():
        make_catalog(committed_world.acme, base_url=bank.base_url, kind=kind, model=model)
    make_budget(committed_world.acme, "1.00")
    return committed_world.acme


@pytest.mark.parametrize(
    ("name", "tool_calls", "said"),
    [
        ("llm", 0, [SAID, SAID]),
        ("openai-agents", 1, [answer_text(), answer_text(), answer_text(), "1 calls of the tool"]),
        ("pydantic-ai", 1, [answer_text(), answer_text(), "1 calls of the tool"]),
        ("instructor", 1, [answer_text(8)]),
        ("litellm", 0, [*[answer_text()] * 5, "1 vectors"]),
        ("langchain", 1, [*[answer_text()] * 3, answer_text(8), "found True"]),
    ],
)
def test_a_program_works_and_every_call_of_it_is_in_the_books(
    python: Path, proxy: Deployment, acme: Tenant, bank: Bank, name: str, tool_calls: int, said: list[Any]
) -> None:
    if tool_calls:
        bank.queue(tool_calls, tool_call=True)
    ran = subprocess.run(
        [python, HERE / "programs.py", name, proxy.base_url, acme.api_key],
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert orjson.loads(ran.stdout.splitlines()[-1]) == said
    books = assert_balanced(acme, bank)
    assert len(books.rows) == len(bank.bill()) >= len(said)
