"""The tables of this app, where Django looks for them."""

from proxy.answers.model import StoredAnswer
from proxy.batches.model import Batch, BatchLine, StoredFile
from proxy.cache.model import CacheAnswer, CacheEntry, CacheGate, CacheLookup
from proxy.learning.models import (
    CapturedCall,
    Dataset,
    DatasetVersion,
    LearnedExample,
    PaidReplay,
    Student,
    TeacherRun,
    TrainingJob,
)
from proxy.ledger.model import LedgerEntry
from proxy.routing.model import Feedback, LearnedRoute, RouteLabel

__all__ = [
    "Batch",
    "BatchLine",
    "CacheAnswer",
    "CacheEntry",
    "CacheGate",
    "CacheLookup",
    "CapturedCall",
    "Dataset",
    "DatasetVersion",
    "Feedback",
    "LearnedExample",
    "LearnedRoute",
    "LedgerEntry",
    "PaidReplay",
    "RouteLabel",
    "StoredAnswer",
    "StoredFile",
    "Student",
    "TeacherRun",
    "TrainingJob",
]
