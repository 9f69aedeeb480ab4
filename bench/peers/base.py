"""What every peer has: install, start, stop, and the processes whose memory counts as its own."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Final

from bench.load import Endpoint
from bench.machine import Cores, Program, descendants
from bench.upstream import Kind, Upstream

PEERS: Final = Path(__file__).resolve().parent.parent / ".peers"
INSTALL_SECONDS: Final = 600


class Unavailable(Exception):
    """A peer cannot be installed or run here.

    ``reason`` is what the report says in place of its figures; ``detail`` is for whoever runs the bench: it may hold a
    program's last words, and with them paths of this machine.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Peer:
    """A gateway under test. Subclasses set the names, and say how it is installed and started."""

    #: as given to ``--only``
    name: ClassVar[str]
    #: as the report calls it
    title: ClassVar[str]
    #: what it does and does not do while it is measured
    note: ClassVar[str]
    #: a round is at least as long: in a shorter one, a slow gateway hardly ends a call
    least_seconds: ClassVar[float] = 1.0
    #: a gateway that compiles as it goes needs this many seconds of load before it is at its best
    warm_up_seconds: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self.program: Program | None = None

    def install(self) -> None:
        """Fetch it once, into a place of its own. Raises Unavailable."""

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        """Start it on the server's core; gives the way in for each kind of call. Raises Unavailable."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every process that it started."""
        if self.program is not None:
            self.program.stop()
            self.program = None

    def worker_pids(self) -> list[int]:
        """The processes that serve calls."""
        return descendants(self.program.process.pid) if self.program is not None else []

    def last_words(self) -> str:
        """What it printed last, for when it does not answer."""
        return self.program.last_words() if self.program is not None else ""


def same_way_in(port: int, upstream_kinds: type[Kind] = Kind, **fields: str) -> dict[Kind, Endpoint]:
    """One port and path for all kinds; the model is named after the kind, so that the gateway picks the upstream."""
    prefix = fields.get("model_prefix", "")
    path = fields.get("path", "/v1/chat/completions")
    return {kind: Endpoint(port, kind, path=path, model=f"{prefix}bench-{kind}") for kind in upstream_kinds}


def install_python_package(folder: str, requirement: str, *, bare: str = "") -> Path:
    """Install a pinned package, or several, into a virtual environment of their own, once; gives its ``bin``. ``bare``:
    one without what it asks for.

    Raises:
        Unavailable: pip could not.
    """
    home = PEERS / folder
    done = home / ".installed"
    wanted = f"{requirement} {bare}"
    if not (done.exists() and done.read_text() == wanted):
        shutil.rmtree(home, ignore_errors=True)
        PEERS.mkdir(exist_ok=True)
        _run([sys.executable, "-m", "venv", str(home)])
        uv = Path(sys.executable).parent / "uv"
        python = str(home / "bin" / "python")
        installer = [str(uv), "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
        _run([*installer, "--quiet", *requirement.split()])
        if bare:
            _run([*installer, "--quiet", "--no-deps", bare])
        done.write_text(wanted)
    return home / "bin"


def install_node_packages(folder: str, requirements: list[str]) -> Path:
    """Install pinned packages into a ``node_modules`` of their own, once; gives that folder.

    Raises:
        Unavailable: there is no node, or npm could not.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    home = PEERS / folder
    done = home / ".installed"
    if not (done.exists() and done.read_text() == " ".join(requirements)):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run(["npm", "install", *quiet, "--prefix", str(home), *requirements])
        done.write_text(" ".join(requirements))
    return home / "node_modules"


def _run(command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable("could not be installed", repr(error)) from error
    if ran.returncode != 0:
        raise Unavailable("could not be installed", (ran.stderr or ran.stdout).strip()[-600:])
