"""What billing stores."""

from billing.models.rollups import DayRollup, LedgerLine, QuarterRollup

__all__ = ["DayRollup", "LedgerLine", "QuarterRollup"]
