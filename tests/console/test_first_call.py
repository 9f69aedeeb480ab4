"""What docs/first-call.md says to paste, pasted as it stands, against a server of one's own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import deploy
from tests.world import World

TEXT: Final = (Path(__file__).resolve().parents[2] / "docs" / "first-call.md").read_text()


def run(program: list[str], environment: dict[str, str]) -> str:
    ran = subprocess.run(
        program, env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_commands_and_the_python_of_the_page_make_two_priced_calls(tmp_path: Path, committed_world: World) -> None:
    plain = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    commands = "\n".join(line.removeprefix("    ") for line in plain.splitlines() if line.startswith("    "))
    (python,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    bank = Bank.start(tmp_path)
    try:
        with deploy(tmp_path) as proxy:
            environment = {
                "CONSOLE": proxy.root_url,
                "TOKEN": committed_world.acme.admin_token,
                "LLM": bank.base_url,
                "no_proxy": "127.0.0.1",
            }
            said = run(["bash", "-euc", f"{commands}\necho; echo KEY=$KEY"], environment)
            cost = re.search(r"x-costhub-cost: ([0-9.]+)", said)
            assert cost is not None, said
            assert "HTTP/1.1 200 OK" in said
            assert float(cost[1]) > 0
            (key,) = re.findall(r"KEY=(chk_\S+)", said)
            assert run([sys.executable, "-c", python], environment | {"KEY": key}).strip()
    finally:
        bank.stop()
    assert len(bank.complaints()) == 0
