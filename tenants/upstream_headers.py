"""How a credential travels to an upstream, by the upstream's kind."""

from typing import Final

from tenants.choices import UpstreamKind

#: the version of Anthropic's API that is spoken
ANTHROPIC_VERSION: Final = "2023-06-01"


def credential_headers(kind: str, credential: str | None) -> dict[str, str]:
    """The headers that an upstream of a kind knows us by; of Anthropic's also the version that we speak."""
    if kind == UpstreamKind.ANTHROPIC.value:
        version = {"anthropic-version": ANTHROPIC_VERSION}
        return version if credential is None else {"x-api-key": credential, **version}
    return {} if credential is None else {"authorization": f"Bearer {credential}"}
