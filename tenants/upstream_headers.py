"""How a credential travels to an upstream, and what its paths are called, by its kind and base URL."""

from typing import Final
from urllib.parse import quote

from costhub.lib.origins import Target, parse_origin
from tenants.choices import UpstreamKind

#: the version of Anthropic's API that is spoken
ANTHROPIC_VERSION: Final = "2023-06-01"
#: the last part of a base URL below which each model has a path of its own: Azure's, where its query names a version
_DEPLOYMENTS: Final = "/deployments"


def credential_headers(kind: str, credential: str | None, base_url: str = "") -> dict[str, str]:
    """The headers that an upstream of a kind knows us by; of Anthropic's also the version that we speak."""
    if kind == UpstreamKind.ANTHROPIC.value:
        version = {"anthropic-version": ANTHROPIC_VERSION}
        return version if credential is None else {"x-api-key": credential, **version}
    if credential is None:
        return {}
    return {"api-key": credential} if "?" in base_url else {"authorization": f"Bearer {credential}"}


def locate(base_url: str, upstream_model: str, path: str) -> str:
    """Where below a base URL a call of a model is sent that is sent to ``path`` elsewhere."""
    if "?" in base_url and parse_origin(base_url).path.endswith(_DEPLOYMENTS):
        return f"{quote(upstream_model, safe='')}/{path}"
    return path


def models_url(target: Target) -> str:
    """The URL at which an upstream lists its models."""
    if target.query and target.path.endswith(_DEPLOYMENTS):
        path = target.path.removesuffix(_DEPLOYMENTS)
        return Target(target.scheme, target.host, target.port, path, target.query).url("/models")
    return target.url("/models")
