"""Every path of the management API that is about learning, below /api/v1."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from proxy.learning.api.datasets import (
    ConsentWithdrawalView,
    DatasetVersionViewSet,
    DatasetViewSet,
    ExamplesView,
    ExportView,
)
from proxy.learning.api.paid_replays import PaidReplayViewSet
from proxy.learning.api.provider_tunings import ProviderDeploymentView, ProviderTuningViewSet
from proxy.learning.api.teacher_runs import TeacherRunViewSet
from proxy.learning.api.training import DeploymentView, StudentViewSet, TrainingJobViewSet
from proxy.learning.api.tuned_models import TunedDeploymentView, TunedExportView, TunedModelViewSet

app_name = "learning"

router = SimpleRouter(trailing_slash=False)
router.register("datasets", DatasetViewSet, basename="datasets")
router.register("dataset-versions", DatasetVersionViewSet, basename="dataset-versions")
router.register("teacher-runs", TeacherRunViewSet, basename="teacher-runs")
router.register("paid-replays", PaidReplayViewSet, basename="paid-replays")
router.register("training-jobs", TrainingJobViewSet, basename="training-jobs")
router.register("provider-tunings", ProviderTuningViewSet, basename="provider-tunings")
router.register("tuned-models", TunedModelViewSet, basename="tuned-models")
router.register("students", StudentViewSet, basename="students")

urlpatterns: list[URLPattern | URLResolver] = [
    path("consent-withdrawals", ConsentWithdrawalView.as_view(), name="consent-withdrawals"),
    path("datasets/<str:pk>/examples", ExamplesView.as_view(), name="dataset-examples"),
    path("dataset-versions/<str:pk>/export", ExportView.as_view(), name="dataset-export"),
    path("provider-tunings/<str:pk>/deployment", ProviderDeploymentView.as_view(), name="provider-deployment"),
    path("students/<str:pk>/deployment", DeploymentView.as_view(), name="student-deployment"),
    path("tuned-models/<str:pk>/deployment", TunedDeploymentView.as_view(), name="tuned-deployment"),
    path("tuned-models/<str:pk>/export", TunedExportView.as_view(), name="tuned-export"),
    *router.urls,
]
