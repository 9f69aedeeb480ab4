"""/system-prompts: shorter words for system prompts, which somebody approves before any call is sent with them."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.system_prompts import (
    MOST_CHARACTERS,
    approve_system_prompt,
    propose_system_prompt,
    retire_system_prompt,
)
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Nothing, Text
from tenants.models import SystemPrompt
from tenants.selectors import list_system_prompts


class SystemPromptAnswer(Answer):
    """A version of shorter words for a system prompt. ``digest`` is the SHA-256 of the original; ``state`` says whether
    calls are sent with it."""

    class Meta:
        model = SystemPrompt
        fields: ClassVar = [
            *("id", "digest", "number", "original", "shorter", "state"),
            *("made_by", "decided_by", "decided_at", "created_at"),
        ]


class NewSystemPrompt(Body):
    """The whole system prompt as calls send it, and the words that may be sent in its place."""

    original = Text(max_length=MOST_CHARACTERS)
    shorter = Text(max_length=MOST_CHARACTERS)


class SystemPromptViewSet(TenantViewSet):
    """Shorter words for system prompts."""

    queryset = SystemPrompt.objects.all()
    serializer_class = SystemPromptAnswer

    def rows(self) -> QuerySet[SystemPrompt]:
        """Those of the open organisation."""
        return list_system_prompts(self.actor)

    @extend_schema(request=NewSystemPrompt, responses={201: SystemPromptAnswer})
    def create(self, request: Request) -> Response:
        """Propose shorter words: no call is sent with them yet."""
        given: dict[str, Any] = self.read(NewSystemPrompt)
        return self.show(propose_system_prompt(actor=self.actor, **given), 201)

    @extend_schema(request=Nothing, responses=SystemPromptAnswer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Send calls with these words from now on, where a compression policy has the method system_prompt."""
        self.read(Nothing)
        return self.show(approve_system_prompt(actor=self.actor, prompt=self.access(pk)))

    @extend_schema(request=Nothing, responses=SystemPromptAnswer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Send the original again."""
        self.read(Nothing)
        return self.show(retire_system_prompt(actor=self.actor, prompt=self.access(pk)))
