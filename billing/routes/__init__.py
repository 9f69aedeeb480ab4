"""What routes and compression saved: as the ledger attributes it, and as calls that were held out prove it."""
