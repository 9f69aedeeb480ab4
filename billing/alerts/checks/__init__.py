"""Watches: each looks at one kind of thing and reports how it stands."""
