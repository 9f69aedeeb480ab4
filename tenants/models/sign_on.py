"""Single sign-on: an organisation's identity provider, and the domains whose people it answers for."""

from django.db import models

from costhub.lib import clock
from tenants.choices import Role, SignOnKind
from tenants.models.base import TenantRow


class SignOn(TenantRow):
    """An identity provider. Whoever it vouches for, at a claimed domain, becomes a member with ``role``."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in SignOnKind])
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    is_active = models.BooleanField(default=True)
    # OIDC: the issuer's address, and what it knows us by.
    issuer = models.CharField(max_length=500, blank=True)
    client_id = models.CharField(max_length=200, blank=True)
    client_secret = models.BinaryField(blank=True, default=b"", editable=False)
    # SAML: who asserts, where people are sent, and the certificate of its signatures.
    entity_id = models.CharField(max_length=500, blank=True)
    sso_url = models.CharField(max_length=500, blank=True)
    certificate = models.TextField(blank=True)

    class Meta:
        verbose_name = "sign-on"

    def __str__(self) -> str:
        return self.name


class ClaimedDomain(TenantRow):
    """A domain of e-mail addresses. It counts once it is verified, and then for one organisation only; it is looked at
    again (``checked_at``), and counts no more when its challenge has been gone for long (``missing_since``)."""

    name = models.CharField(max_length=253)
    challenge = models.CharField(max_length=64)
    verified_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(default=clock.now)
    missing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "claimed domain"
        constraints = [
            models.UniqueConstraint(fields=["org", "name"], name="one_claim_a_domain"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(verified_at__isnull=False), name="one_owner_a_domain"
            ),
        ]

    def __str__(self) -> str:
        return self.name
