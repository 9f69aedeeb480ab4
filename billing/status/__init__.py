"""How an organisation's upstreams do: works, slow, cooling down, down; for its people, and for all who have the address
of its public page."""
