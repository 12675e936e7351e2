"""Ids that nobody can guess (UUID 4). To ask the system for randomness each time costs more than a small tool."""

import os
from uuid import UUID

_TAKEN_AT_ONCE = 256
_SIZE = 16
_VERSION_AND_VARIANT = (0x4 << 76) | (0x8 << 60)
_RANDOM_BITS = ~((0xF << 76) | (0xC << 60))

_randomness = bytearray()


def new_id() -> UUID:
    """As uuid.uuid4; the system is asked for the randomness of many at once."""
    if not _randomness:
        _randomness.extend(os.urandom(_SIZE * _TAKEN_AT_ONCE))
    taken = int.from_bytes(_randomness[-_SIZE:])
    del _randomness[-_SIZE:]
    return UUID(int=taken & _RANDOM_BITS | _VERSION_AND_VARIANT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_randomness.clear)  # or the child would give out the same ids
