"""What providers bill, fetched by the day and held against the ledger."""
