"""Stored enumerations of GPU endpoints."""

from enum import StrEnum


class Basis(StrEnum):
    """What an hour of an endpoint is charged by."""

    #: the whole hour, idle or not
    ALLOCATION = "allocation"
    #: the part of it in which calls ran
    USAGE = "usage"
