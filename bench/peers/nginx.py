"""nginx as a plain reverse proxy: it reads nothing and counts nothing. Nobody will be faster on this machine."""

from pathlib import Path

from bench.load import Endpoint
from bench.machine import Cores, free_port, start_program
from bench.peers.base import Peer, Unavailable
from bench.upstream import Kind, Upstream, find_nginx, nginx_command, nginx_config


class Nginx(Peer):
    """A plain reverse proxy."""

    name = "nginx"
    title = "nginx reverse proxy"
    note = "passes bytes on: the limit of this machine"

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        nginx = find_nginx()
        if nginx is None:
            raise Unavailable("nginx is not installed (Debian's package nginx-light)")
        ports = {kind: free_port() for kind in Kind}
        servers = []
        for kind in Kind:
            servers.append(f"upstream {kind} {{ server 127.0.0.1:{upstream.ports[kind]}; keepalive 64; }}")
            buffering = "on" if kind is Kind.JSON else "off"
            servers.append(
                f"server {{ listen 127.0.0.1:{ports[kind]}; location / {{ proxy_pass http://{kind};"
                f' proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering}; }} }}'
            )
        config = work / "nginx.conf"
        config.write_text(nginx_config(work, "nginx", "\n".join(servers)))
        self.program = start_program(nginx_command(nginx, work, config), [cores.server], work / "nginx.log")
        return {kind: Endpoint(port, kind) for kind, port in ports.items()}
