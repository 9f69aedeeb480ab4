"""What routes and compression wait for: vectors, what was learned, and what is written down beside a call."""
