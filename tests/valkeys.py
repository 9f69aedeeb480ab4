"""Valkeys that belong together, on loopback: a cluster of masters and replicas, or a master with Sentinels."""

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import redis

from costhub.lib import clock
from costhub.lib.valkey_slots import even_ranges
from costhub.stack.ports import HOST, find_free_port
from costhub.stack.private_files import write_private
from costhub.stack.valkey import Valkey, find_binary
from tests.patience import PATIENCE_SECONDS

#: after so long a node is taken for dead: short, and no shorter than a busy machine may be silent
NODE_TIMEOUT_MS = 1_500
MASTER = "costhub-master"


class Certificates:
    """A certificate authority of a test's own, and a certificate of loopback's by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        ca_key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "server.ext"
        extensions.write_text(f"subjectAltName=IP:{HOST},DNS:localhost\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        self._run("req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2", "-subj", "/CN=Test CA")
        self._run("req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=valkey")
        signing = ("-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions)
        self._run("x509", "-req", "-in", request, *signing, "-out", self.cert, "-days", "2")

    @staticmethod
    def _run(*arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    @property
    def parameters(self) -> str:
        """What a Valkey's URL says of them: who vouches for the servers, and who we are."""
        return f"?ca={self.ca}&cert={self.cert}&key={self.key}"

    def configuration(self, port: int) -> str:
        """Lines by which a server speaks TLS alone, with everybody, and asks everybody for a certificate."""
        return (
            f"port 0\ntls-port {port}\ntls-ca-cert-file {self.ca}\ntls-cert-file {self.cert}\ntls-key-file {self.key}\n"
            "tls-auth-clients yes\ntls-replication yes\n"
        )


def find_tls_server() -> str | None:
    """A Valkey or Redis of this machine's that speaks TLS; the one that our package brings does not."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


class Node(Valkey):
    """A Valkey with further lines of configuration, which are made when it is prepared. With ``certificates`` it speaks
    TLS alone."""

    def __init__(
        self, data_dir: Path, password: str, more: Callable[["Node"], str], certificates: Certificates | None = None
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(data_dir)
        self._kept = {"password": password, "port": find_free_port()}
        self._more = more
        self._certificates = certificates

    @property
    def url(self) -> str:
        return self._secured(super().url)

    def prepare(self) -> None:
        super().prepare()
        write_private(self._configuration, self._configuration.read_text() + self._tls_lines() + self._more(self))

    def command(self) -> list[str]:
        return [self._binary(), str(self._configuration)]

    def _binary(self) -> str:
        if self._certificates is None:
            return str(find_binary())
        found = find_tls_server()
        assert found is not None, "no server here speaks TLS"
        return found

    def _tls_lines(self) -> str:
        return self._certificates.configuration(self.port) if self._certificates else ""

    def _secured(self, url: str) -> str:
        made = self._certificates
        if made is None:
            return url
        files = f"?ssl_ca_certs={made.ca}&ssl_certfile={made.cert}&ssl_keyfile={made.key}"
        return url.replace("redis://", "rediss://", 1) + files

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def ask(self, *command: Any) -> Any:
        """What the node itself says to a command."""
        with redis.Redis.from_url(self.url, socket_timeout=30, decode_responses=True) as client:
            return client.execute_command(*command)


class Sentinel(Node):
    """Watches the master and tells who it is."""

    @property
    def url(self) -> str:
        return self._secured(f"redis://{HOST}:{self.port}/0")

    def prepare(self) -> None:
        self.data_dir.joinpath("valkey").mkdir(parents=True, exist_ok=True)
        text = f'bind {HOST}\nport {self.port}\nprotected-mode no\ndir "{self._directory}"\n'
        write_private(self._configuration, text + self._tls_lines() + self._more(self))

    def command(self) -> list[str]:
        return [*super().command(), "--sentinel"]


def until(is_so: Callable[[], bool], what: str) -> None:
    """Return once something is so; AssertionError where it never is."""
    pause, ends = Event(), clock.monotonic_ns() + PATIENCE_SECONDS * 1_000_000_000
    while True:
        try:
            if is_so():
                return
        except redis.RedisError:
            pass
        assert clock.monotonic_ns() < ends, f"it never came that {what}"
        pause.wait(0.02)


def wait_replicated(master: Node) -> None:
    """Return once every replica has all that the master has."""

    def is_even() -> bool:
        info = master.ask("INFO", "replication")
        replicas = [info[f"slave{place}"] for place in range(info["connected_slaves"])]
        return bool(replicas) and all(replica["offset"] == info["master_repl_offset"] for replica in replicas)

    until(is_even, "the replicas have everything")


class ClusterOfNodes:
    """Three masters with a replica each, as a rule. ``url`` names the cluster by its first nodes."""

    def __init__(self, nodes: Sequence[Node], masters: int, password: str, certificates: Certificates | None) -> None:
        self.nodes = nodes
        self.masters = masters
        hosts = ",".join(f"{HOST}:{node.port}" for node in nodes[:masters])
        self.url = _url("cluster", password, hosts, "", certificates)

    def form(self) -> None:
        """Have the nodes know each other, give out the slots, and make the rest replicas."""
        masters, replicas = self.nodes[: self.masters], self.nodes[self.masters :]
        for place, (node, (first, last)) in enumerate(zip(masters, even_ranges(len(masters)), strict=True)):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            # otherwise all of them might be elected at once, and none
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", HOST, node.port, _bus_port(node))
        until(lambda: all(_knows(node) == len(self.nodes) for node in self.nodes), "all nodes know each other")
        for place, node in enumerate(replicas):
            node.ask("CLUSTER", "REPLICATE", masters[place % len(masters)].ask("CLUSTER", "MYID"))
        self.wait_whole()

    def wait_whole(self) -> None:
        """Return once every slot is served, as every node that lives says, and every living replica follows."""
        until(lambda: all(_is_well(node) for node in self.living), "the cluster is whole")

    @property
    def living(self) -> list[Node]:
        return [node for node in self.nodes if node.pid is not None]

    def master_of(self, slot: int) -> Node:
        """Who has a slot now."""
        for first, last, (host, port, *_), *_rest in self.living[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.address == (host, port))
        raise AssertionError(f"nobody has slot {slot}")

    def replica_of(self, master: Node) -> Node:
        """A living replica of a master."""
        mine = master.ask("CLUSTER", "MYID")
        return next(node for node in self.living if f"slave {mine}" in _own_line(node))


def _bus_port(node: Node) -> int:
    return int(node.ask("CONFIG", "GET", "cluster-port")["cluster-port"])


def _own_line(node: Node) -> str:
    lines = node.ask("CLUSTER", "NODES")
    if isinstance(lines, dict):
        for fields in lines.values():
            if "myself" in fields["flags"]:
                return f"{fields['flags'].rpartition(',')[2]} {fields['master_id']}"
        raise AssertionError("a node does not know itself")
    return next(
        f"{line.split()[2].rpartition(',')[2]} {line.split()[3]}"
        for line in str(lines).splitlines()
        if "myself" in line
    )


def read_cluster_info(node: Node) -> dict[str, str]:
    """What a node says of its cluster."""
    told = node.ask("CLUSTER", "INFO")
    if isinstance(told, dict):
        return told
    return dict(line.split(":", 1) for line in str(told).split("\r\n") if line)


def _knows(node: Node) -> int:
    return int(read_cluster_info(node)["cluster_known_nodes"])


def _is_well(node: Node) -> bool:
    if read_cluster_info(node)["cluster_state"] != "ok":
        return False
    info = node.ask("INFO", "replication")
    return bool(info["role"] == "master" or info["master_link_status"] == "up")


def _url(kind: str, password: str, hosts: str, path: str, certificates: Certificates | None) -> str:
    scheme, parameters = ("valkeys", certificates.parameters) if certificates else ("valkey", "")
    return f"{scheme}+{kind}://:{password}@{hosts}/{path}{parameters}"


@contextmanager
def cluster(
    folder: Path, *, masters: int = 3, replicas: int = 3, more: str = "", certificates: Certificates | None = None
) -> Iterator[ClusterOfNodes]:
    """A cluster that is formed and whole; ``more`` is configuration of each node. With ``certificates`` it speaks TLS
    alone, among its nodes too."""
    password = secrets.token_urlsafe(12)

    def configure(node: Node) -> str:
        return (
            f"cluster-enabled yes\ncluster-port {find_free_port()}\ncluster-node-timeout {NODE_TIMEOUT_MS}\n"
            f"cluster-announce-ip {HOST}\nmasterauth {password}\nrepl-diskless-sync-delay 0\n"
            f"{'tls-cluster yes' if certificates else ''}\n{more}\n"
        )

    nodes = [Node(folder / f"node-{place}", password, configure, certificates) for place in range(masters + replicas)]
    with _running(nodes):
        formed = ClusterOfNodes(nodes, masters, password, certificates)
        formed.form()
        yield formed


class Watched:
    """A master and replicas, and Sentinels that watch them."""

    def __init__(
        self, nodes: Sequence[Node], sentinels: Sequence[Sentinel], password: str, certificates: Certificates | None
    ) -> None:
        self.nodes = nodes
        self.sentinels = sentinels
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in sentinels)
        self.url = _url("sentinel", password, hosts, f"{MASTER}/0", certificates)

    @property
    def master(self) -> Node:
        """Whom the first Sentinel takes for the master."""
        found = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(node for node in self.nodes if node.port == int(found[1]))

    def wait_watched(self) -> None:
        """Return once every Sentinel knows the others and every replica."""
        others, replicas = str(len(self.sentinels) - 1), str(len(self.nodes) - 1)

        def is_known() -> bool:
            for sentinel in self.sentinels:
                told = sentinel.ask("SENTINEL", "MASTER", MASTER)
                fields = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
                if (str(fields["num-other-sentinels"]), str(fields["num-slaves"])) != (others, replicas):
                    return False
            links = [node.ask("INFO", "replication") for node in self.nodes]
            return all(link["role"] == "master" or link["master_link_status"] == "up" for link in links)

        until(is_known, "the Sentinels know each other")


@contextmanager
def watched(
    folder: Path, *, replicas: int = 1, sentinels: int = 3, certificates: Certificates | None = None
) -> Iterator[Watched]:
    """A master with replicas, and as many Sentinels, of whom most must agree. With ``certificates`` all of them speak
    TLS alone."""
    password = secrets.token_urlsafe(12)
    own = f"masterauth {password}\nrepl-diskless-sync-delay 0\n"
    first = Node(folder / "node-0", password, lambda _: own, certificates)
    following = f"{own}replicaof {HOST} {first.port}\n"
    nodes = [
        first,
        *(
            Node(folder / f"node-{place}", password, lambda _: following, certificates)
            for place in range(1, replicas + 1)
        ),
    ]
    watching = (
        f"sentinel monitor {MASTER} {HOST} {first.port} {sentinels // 2 + 1}\n"
        f"sentinel auth-pass {MASTER} {password}\nsentinel down-after-milliseconds {MASTER} {NODE_TIMEOUT_MS}\n"
        f"sentinel failover-timeout {MASTER} 6000\nsentinel parallel-syncs {MASTER} 1\n"
    )
    watchers = [
        Sentinel(folder / f"sentinel-{place}", "", lambda _: watching, certificates) for place in range(sentinels)
    ]
    with _running([*nodes, *watchers]):
        found = Watched(nodes, watchers, password, certificates)
        found.wait_watched()
        yield found


@contextmanager
def _running(nodes: Sequence[Node]) -> Iterator[None]:
    with ExitStack() as opened:
        for node in nodes:
            node.start()
            opened.callback(node.stop)
        for node in nodes:
            node.wait_ready()
        yield
