"""A SAML identity provider: pysaml2's, which reads what it is asked and signs what it answers, as an organisation's
directory does."""

import warnings
from pathlib import Path
from typing import Any

import xmlsec
from lxml import etree

with warnings.catch_warnings():
    # It names ciphers that cryptography has moved elsewhere, and that are not used here.
    warnings.simplefilter("ignore")
    from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
    from saml2.config import IdPConfig
    from saml2.server import Server
    from saml2.sigver import CryptoBackend
    from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA1, SIG_RSA_SHA256

__all__ = ["SIGN_ON", "SIG_RSA_SHA1", "SIG_RSA_SHA256", "SamlProvider"]

SIGN_ON = "https://idp.acme.example/sso"
_PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"


class Signer(CryptoBackend):  # type: ignore[misc]
    """Signs with the library xmlsec, in place of the program of that name which pysaml2 would start."""

    def sign_statement(self, statement: Any, node_name: str, key_file: str, node_id: str) -> str:
        """The document with the signature of one node, for which pysaml2 has made a template."""
        document = etree.fromstring(statement if isinstance(statement, bytes) else str(statement).encode())
        xmlsec.tree.add_ids(document, ["ID"])
        node = next(one for one in document.iter() if one.get("ID") == node_id)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_file(key_file, xmlsec.constants.KeyDataFormatPem)
        context.sign(xmlsec.tree.find_node(node, xmlsec.constants.NodeSignature))
        return str(etree.tostring(document).decode())


class SamlProvider:
    """``metadata`` is what the service that people sign in to says of itself; ``key`` and ``certificate`` are PEM."""

    def __init__(self, folder: Path, entity_id: str, metadata: str, key: str, certificate: str) -> None:
        key_file, certificate_file = folder / "idp.key", folder / "idp.crt"
        key_file.write_text(key)
        certificate_file.write_text(certificate)
        config = {
            "entityid": entity_id,
            "service": {
                "idp": {
                    "endpoints": {"single_sign_on_service": [(SIGN_ON, BINDING_HTTP_REDIRECT)]},
                    "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
                }
            },
            "key_file": str(key_file),
            "cert_file": str(certificate_file),
            "crypto_backend": "XMLSecurity",
            "metadata": {"inline": [metadata]},
        }
        self._server = Server(config=IdPConfig().load(config))
        self._server.sec.crypto = Signer()

    def answer(
        self, saml_request: str, email: str, *, is_signed: bool = True, algorithm: str = SIG_RSA_SHA256
    ) -> tuple[str, dict[str, str]]:
        """Where a browser is to post what, after somebody has shown the provider that they are ``email``."""
        asked = self._server.parse_authn_request(saml_request, BINDING_HTTP_REDIRECT).message
        told = self._server.response_args(asked, [BINDING_HTTP_POST])
        response = self._server.create_authn_response(
            {"uid": email, "mail": email},
            userid=email,
            authn={"class_ref": _PASSWORD},
            sign_assertion=is_signed,
            sign_response=False,
            sign_alg=algorithm,
            digest_alg=DIGEST_SHA256,
            **told,
        )
        form = self._server.apply_binding(BINDING_HTTP_POST, str(response), told["destination"], "", response=True)
        page = etree.HTML("".join(form["data"]) if isinstance(form["data"], list) else form["data"])
        fields = {one.get("name"): one.get("value") for one in page.iter("input") if one.get("name")}
        return told["destination"], fields
