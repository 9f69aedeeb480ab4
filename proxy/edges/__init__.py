"""Every await of the hot path, and what the scheduled jobs share with it."""
