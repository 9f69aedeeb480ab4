"""What the cache did: its numbers from the ledger, its entries, and why somebody got what."""
