"""How the garbage collector is to behave in a process that serves, and does nothing else."""

import gc

YOUNG = 10_000
"""Objects that may be made, beyond those that are gone, before the collector looks at them; Python's own 700 are few
for a server, whose calls wait to be recorded by the hundred."""
MIDDLE, OLD = 20, 20
"""Looks at the young before one at the next older, twice."""


def settle() -> None:
    """Let the collector leave alone what the start has made: it stays as long as the process.

    Else it goes through all modules and plugins again and again, which holds up requests for as long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
