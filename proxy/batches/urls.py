"""The paths of the management API that are about batches, below /api/v1."""

from rest_framework.routers import SimpleRouter

from proxy.batches.management import BatchViewSet

app_name = "batches"

router = SimpleRouter(trailing_slash=False)
router.register("batches", BatchViewSet, basename="batches")

urlpatterns = router.urls
