"""/projects."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.projects import create_project, update_project
from tenants.api.fields import Answer, Body, Flag, Text
from tenants.api.stops import StoppableViewSet
from tenants.models import Project
from tenants.selectors import list_projects


class ProjectAnswer(Answer):
    """A project."""

    class Meta:
        model = Project
        fields: ClassVar = ["id", "name", "is_archived", "is_stopped", "created_at"]


class NewProject(Body):
    """What a project is made of."""

    name = Text()


class ProjectChanges(Body):
    """What may change."""

    name = Text(required=False)
    is_archived = Flag(required=False)


class ProjectViewSet(StoppableViewSet):
    """Projects, archived ones included."""

    queryset = Project.objects.all()
    serializer_class = ProjectAnswer
    is_by_project = True

    def rows(self) -> QuerySet[Project]:
        """Those of the open organisation, or those that the actor is a member of."""
        return list_projects(self.actor)

    @extend_schema(request=NewProject, responses={201: ProjectAnswer})
    def create(self, request: Request) -> Response:
        """Create a project."""
        return self.show(create_project(actor=self.actor, **self.read(NewProject)), 201)

    @extend_schema(request=ProjectChanges, responses=ProjectAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a project, archive it or take it back."""
        project = self.access(pk)
        return self.show(update_project(actor=self.actor, project=project, **self.read(ProjectChanges)))
