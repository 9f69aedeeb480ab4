"""A student that is served: a model of an upstream, and a route that asks it first and its teacher where it is not
sure."""

import re
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db import transaction

from costhub.lib.errors import Conflict
from proxy.learning.distilled_routes import HOLDOUT_PERCENT, check_one_route, drop_route, name_route, put_route
from proxy.learning.models import Student
from proxy.learning.server_upstreams import find_server_upstream
from proxy.learning.students import find_trust
from proxy.learning.trust import UNTRUSTED
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.models import create_model, update_model
from tenants.actions.pricing import create_price
from tenants.choices import Permission, Tokenizer
from tenants.models import LanguageModel

UPSTREAM: Final = "students"
#: a question is a short one, and a label a few words
CONTEXT_WINDOW: Final = 32_768
MAX_OUTPUT: Final = 64
#: who does not answer in that time is followed by the teacher
TIMEOUT_MS: Final = 2_000
CONNECT_TIMEOUT_MS: Final = 500
_NO_NAME: Final = re.compile(r"[^\w.-]+")


def deploy_student(
    *, actor: Actor, student: Student, route: str = "", holdout_percent: int = HOLDOUT_PERCENT
) -> Student:
    """Serve a student under the name ``route``, or that of its teacher with ``-distilled``: calls of that name are
    asked of it, and of the teacher where it is less sure than its threshold, where it does not answer, and for
    ``holdout_percent`` of the conversations, which say how often the two agree. While it is in the shadow the teacher
    answers, and the ledger says what would have been asked; the route follows when it is trusted more, or no more.

    Raises Conflict where there is no server of students, or the student was rolled back or withdrawn or has another
    route, and InvalidField for a name that cannot be.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if not settings.STUDENTS_URL:
        raise Conflict(
            "No server of students is known: start `costhub student-server`, and set COSTHUB_STUDENTS_URL to where it is."
        )
    _check_trusted(student)
    teacher = student.job.version.dataset.teacher
    if not LanguageModel.objects.filter(org=actor.org, name=teacher).exists():
        raise Conflict(f"The teacher {teacher} is no model of this organisation any more.")
    with transaction.atomic():
        student = Student.objects.select_for_update().get(pk=student.pk)
        # It may have been moved a moment ago.
        _check_trusted(student)
        model = _find_model(actor, student, teacher)
        name = name_route(route, student.route, teacher)
        check_one_route(actor, student.route, name, upstream_model=student.name, teacher=teacher)
        put_route(actor, name, model=model.name, teacher=teacher, trust=find_trust(student, holdout_percent))
        record(actor, "deployed", student, route=name, model=model.name)
        student.route = name
        student.save(update_fields=["route"])
    return student


def retire_student(*, actor: Actor, student: Student) -> Student:
    """Serve it no longer: its route goes, and with it the name that calls had for it. A route of that name that asks
    somebody else by now, another student or what a person has put there, stays."""
    actor.check(Permission.WRITE_SETTINGS)
    teacher = student.job.version.dataset.teacher
    with transaction.atomic():
        student = Student.objects.select_for_update().get(pk=student.pk)
        drop_route(actor, student.route, upstream_model=student.name, teacher=teacher)
        record(actor, "retired", student, route=student.route)
        student.route = ""
        student.save(update_fields=["route"])
    return student


def _check_trusted(student: Student) -> None:
    if student.stage in UNTRUSTED:
        raise Conflict(
            f"This student was {student.stage.replace('_', ' ')}: put it into the shadow, or train it again."
        )


def _find_model(actor: Actor, student: Student, teacher: str) -> LanguageModel:
    """The student as a model, made where it is not one yet. Its answers cost nothing themselves: what a machine for
    them costs is an endpoint's to say."""
    terms = {"connect_timeout_ms": CONNECT_TIMEOUT_MS, "timeout_ms": TIMEOUT_MS, "max_retries": 0}
    upstream = find_server_upstream(actor, UPSTREAM, settings.STUDENTS_URL, **terms)
    found = LanguageModel.objects.filter(org=actor.org, upstream=upstream, upstream_model=student.name).first()
    if found is not None:
        return update_model(actor=actor, model=found, student_of=teacher, is_active=True)
    model = create_model(
        actor=actor,
        name=f"student-{_NO_NAME.sub('-', student.name)}",
        upstream=upstream,
        upstream_model=student.name,
        context_window=CONTEXT_WINDOW,
        max_output_tokens=MAX_OUTPUT,
        tokenizer=Tokenizer.BYTES,
        student_of=teacher,
    )
    create_price(actor=actor, model=model, input_per_million=Decimal(0), output_per_million=Decimal(0))
    return model
