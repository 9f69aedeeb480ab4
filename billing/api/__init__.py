"""The ledger and its sums on the management API."""
