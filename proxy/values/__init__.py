"""What the steps of a call hand to each other. All of it is frozen: tuples, which are made in a third of the time that
a frozen dataclass takes."""
