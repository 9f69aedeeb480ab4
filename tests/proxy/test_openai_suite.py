"""The API tests of OpenAI's own client, of the version that is installed, through the proxy: each calls an endpoint,
once with every field that it has. They are in the client's source distribution, which the package index must have, so
that this is one of the long runs.

What is asked for by an id that nobody made is not there: such tests end in ``NotFoundError``.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import openai
import pytest

from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.actions.pricing import create_price
from tenants.choices import UpstreamKind
from tests.bank import Bank
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.scripted_upstream import Script, ScriptedUpstream, stream, whole
from tests.world import Tenant, World, make_budget, make_catalog

pytestmark = pytest.mark.soak

Json = dict[str, Any]
#: of endpoints that are served here
FILES: Final = (
    *("chat/test_completions.py", "test_completions.py", "test_embeddings.py", "test_responses.py"),
    *("responses/test_input_items.py", "responses/test_input_tokens.py", "test_files.py", "test_batches.py"),
    *("test_moderations.py", "test_images.py", "audio/test_speech.py", "audio/test_transcriptions.py"),
    *("audio/test_translations.py", "test_models.py"),
)
#: How they come out, 310 of 664 well. What is refused: calls that name no model, where the vendor has a usual one no
#: more; what has no price here (402); what no model may be done to (405); batches and a second page of a file or batch
#: that is not there. Of embeddings the strict client takes no base64, which it asks for itself.
EXPECTED: Final[dict[str, dict[str, int]]] = {
    "chat.test_completions": {"passed": 48, "BadRequestError": 12, "NotFoundError": 36},
    "test_completions": {"passed": 24, "BadRequestError": 8},
    "test_embeddings": {"passed": 10, "APIResponseValidationError": 6},
    "test_responses": {"passed": 16, "BadRequestError": 40, "APIStatusError": 8, "NotFoundError": 56},
    "responses.test_input_items": {"passed": 4, "BadRequestError": 4, "NotFoundError": 12},
    "responses.test_input_tokens": {"BadRequestError": 12, "APIStatusError": 4},
    "test_files": {"passed": 56, "BadRequestError": 4, "NotFoundError": 36},
    "test_batches": {"passed": 20, "BadRequestError": 4, "NotFoundError": 40},
    "test_moderations": {"passed": 16},
    "test_images": {"passed": 20, "BadRequestError": 60},
    "audio.test_speech": {"passed": 16},
    "audio.test_transcriptions": {"passed": 32},
    "audio.test_translations": {"passed": 16},
    "test_models": {"passed": 32, "APIStatusError": 12},
}
#: of what is not served, and says so
NOT_HERE: Final = (
    *("conversations", "containers", "evals", "fine_tuning", "skills", "uploads", "vector_stores"),
    *("test_containers.py", "test_conversations.py", "test_evals.py", "test_skills.py", "test_uploads.py"),
    *("test_vector_stores.py", "test_videos.py", "beta/test_assistants.py", "beta/test_threads.py", "beta/threads"),
    *("audio/test_voices.py", "audio/test_voice_consents.py"),
)
#: the models of the tests that the bank answers
BANKS: Final = ("gpt-6-astra", "gpt-3.5-turbo-instruct", "text-embedding-3-small")
USAGE: Final = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
IMAGE: Final = {"type": "image_generation.completed", "b64_json": "AA", "usage": USAGE}
HEARD: Final = {"type": "transcript.text.done", "text": "Hi"}
#: and of those that are answered by the word
ANSWERS: Final[dict[str, Script]] = {
    "omni-moderation-2024-09-26": lambda _: whole({"id": "m", "model": "omni", "results": []}),
    "omni-moderation-latest": lambda _: whole({"id": "m", "model": "omni", "results": []}),
    "gpt-image-1.5": lambda body: stream(IMAGE) if body.get("stream") else whole({"created": 1, "data": [{}]}),
    "gpt-image-2.5-flare": lambda body: stream(IMAGE) if body.get("stream") else whole({"created": 1, "data": [{}]}),
    "tts-1": lambda _: whole(b"ID3sound", 200, "audio/mpeg"),
    "gpt-4o-transcribe": lambda body: stream(HEARD) if body.get("stream") else whole({"text": "Hi", "duration": 1}),
    "whisper-1": lambda _: whole({"text": "Hi", "duration": 1}),
}
#: gives the client of the tests our key
PLUGIN: Final = """
import os
import pytest

@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    import tests.conftest
    tests.conftest.api_key = os.environ["COSTHUB_TEST_KEY"]
"""


class Form(ScriptedUpstream):
    """One that takes forms, too: of these it reads whether a stream is wanted."""

    def read_json(self, raw: bytes) -> Json:
        """A body, or what stands for it."""
        return super().read_json(raw) if raw.startswith(b"{") else {"stream": b'name="stream"\r\n\r\ntrue' in raw}


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Iterator[Tenant]:
    """Acme, which keeps answers, with a priced model for each name that the tests call."""
    acme = committed_world.acme
    with ExitStack() as stack:
        for model in BANKS:
            make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.OPENAI, model=model)
        for model, script in ANSWERS.items():
            upstream = Form(script)
            stack.callback(upstream.close)
            kind = UpstreamKind.OPENAI
            catalog = make_catalog(acme, base_url=upstream.base_url, kind=kind, model=model, input_per_million=None)
            fees = {"image": Decimal("0.04"), "minute": Decimal("0.006"), "million_characters": Decimal(15)}
            with org_scope(acme.org_id):
                create_price(
                    actor=acme.owner,
                    model=catalog.model,
                    input_per_million=Decimal(0),
                    output_per_million=Decimal(0),
                    fees=fees,
                )
        with org_scope(acme.org_id):
            update_organization(actor=acme.owner, answers_kept_hours=1)
        make_budget(acme, "100.00")
        yield acme


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the client that is installed, from the package index."""
    folder = tmp_path_factory.mktemp("openai")
    wanted = f"openai=={openai.__version__}"
    options = ["-q", "--no-deps", "--no-binary", "openai", "-d", str(folder), wanted]
    subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True, timeout=300)
    (packed,) = folder.glob("*.tar.gz")
    with tarfile.open(packed) as source:
        source.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    (unpacked / "costhub_key.py").write_text(PLUGIN)
    return unpacked


@pytest.fixture
def proxy(tmp_path: Path, acme: Tenant) -> Iterator[Deployment]:
    with deploy(tmp_path) as proxy:
        yield proxy


def test_every_endpoint_that_is_served_answers_the_clients_own_tests(
    suite: Path, proxy: Deployment, acme: Tenant
) -> None:
    told = run(suite, proxy, acme, FILES)
    found = count(told)
    for name, outcomes in found.items():
        print(f"{name}: {dict(outcomes)}")
    for reason, times in list_reasons(told).most_common():
        print(f"{times} x {reason}")
    passed = sum(outcomes["passed"] for outcomes in found.values())
    print(f"{passed} of {sum(map(Counter.total, found.values()))} passed")
    assert found == EXPECTED


def test_what_is_not_served_is_not_there_to_the_clients_own_tests(suite: Path, proxy: Deployment, acme: Tenant) -> None:
    """Whatever they send it, and however it is typed; but for those tests that ask nobody, or a double."""
    wanted = "not aiohttp and not path_params and not content and not in_sync"
    found = count(run(suite, proxy, acme, NOT_HERE, wanted))
    for name, outcomes in found.items():
        print(f"{name}: {dict(outcomes)}")
    assert {outcome for outcomes in found.values() for outcome in outcomes} == {"NotFoundError"}
    assert sum(map(Counter.total, found.values())) > 500


def run(suite: Path, proxy: Deployment, acme: Tenant, names: Sequence[str], wanted: str = "not aiohttp") -> Path:
    """Run the client's tests against the proxy. Gives their report."""
    told = suite / "told.xml"
    where = {"TEST_API_BASE_URL": proxy.base_url, "COSTHUB_TEST_KEY": acme.api_key, "PYTHONPATH": str(suite)}
    options = ["-q", "--tb=no", "-p", "no:randomly", "-p", "no:django", "-p", "costhub_key", "-k", wanted]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-o", "addopts=", f"--junitxml={told}", *options]
        + [f"tests/api_resources/{name}" for name in names],
        cwd=suite,
        env={name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))} | where,
        timeout=900,
        check=False,
    )
    return told


def count(told: Path) -> dict[str, Counter[str]]:
    """Of each file how many tests passed, were skipped, and failed by which error."""
    found: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(told).iter("testcase"):
        name = case.attrib["classname"].rpartition(".")[0].removeprefix("tests.api_resources.")
        outcome = "passed"
        for child in case:
            if child.tag in ("failure", "error"):
                outcome = child.attrib["message"].partition(":")[0].rpartition(".")[2]
            elif child.tag == "skipped":
                outcome = "skipped"
        found.setdefault(name, Counter())[outcome] += 1
    return found


def list_reasons(told: Path) -> Counter[str]:
    """How often tests failed for which reason, in our words without the ids."""
    failures = ElementTree.parse(told).iter("failure")
    return Counter(re.sub(r"\b\w*\d\w{7,}\b", "ID", failure.attrib["message"][:200]) for failure in failures)
