"""A made-up organisation with a history, so that a newcomer sees every page alive in the first minute."""
