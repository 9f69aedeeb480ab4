"""By which ways a message goes: a module each, ``send(Message) -> Outcome``."""
