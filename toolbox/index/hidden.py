"""Tools that are in the index and not to be seen: switched off, offered by nobody, or held until they are approved.

They keep their place in it, so that showing them again costs nothing; whoever takes the best of an index leaves them
out before counting.
"""

MAX_HIDDEN = 100_000
"""So many are left out at once; the limit lets PostgreSQL know that their ids fit into a hash table."""


def hidden_tools(seen: str = "t.active") -> str:
    """The table `hidden` (id) of a statement: tools for which this does not hold."""
    return f"hidden as materialized (select t.id from tools t where not ({seen}) limit {MAX_HIDDEN})"


def is_seen(tool_id: str) -> str:
    """Whether a tool is none of them."""
    return f"{tool_id} not in (select id from hidden)"
