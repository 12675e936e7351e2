"""Which tools a search is about, as SQL: none is cut off before it was asked whether it passes.

Indexes give tools in an order and know nothing of what hides them: somebody has switched them off, nobody offers them
any more, or an operator is still to approve them. These are known by their ids, and left out as they come. With a
filter, all that pass are compared where they are few; where they are many, tools are asked one by one in the order of
the index, until enough have passed. If that gives up too early, as where a filter passes what is far from the query,
all that pass are compared after all.
"""

from typing import Any

from msgspec import Struct

from toolbox.index.embeddings import Model
from toolbox.index.hidden import MAX_HIDDEN, hidden_tools, is_seen
from toolbox.tools.repository import ToolFilter

FEW = 20_000
"""Up to so many tools that pass a filter are all compared: that misses none, as the indexes may."""
MAX_POSTINGS = 1_000
"""Best tools that one word can bring in; a word in more tools than this says little."""
MAX_FILTERED_POSTINGS = 1_000
"""Among so many of a word's best tools those are looked for first that pass a filter, if many do."""

_ARE_FEW = "(select are from few)"


def _is_one(tool_id: str, ids: str) -> str:
    """Whether a tool is one of those of a query; as an array they are looked up in order, faster than by a join."""
    return f"{tool_id} = any(array({ids}))"


class Sieve(Struct, frozen=True):
    """A condition over `tools t`, and how it is asked: `is_selective` where it says more than that tools are active.

    `members`: where the condition says no more than that active tools are among those of a query, that query. It is
    read without looking at each tool.
    """

    condition: str
    is_selective: bool
    members: str | None = None

    @classmethod
    def of(cls, wanted: ToolFilter, first_parameter: int) -> tuple["Sieve", list[Any]]:
        """That of a filter, and the values of its parameters, numbered from the given one on."""
        condition, values = wanted.to_sql(first_parameter)
        return cls(condition, wanted.is_selective, wanted.members_to_sql(first_parameter)), values

    def tables(self) -> list[str]:
        """What the rest of a statement reads to know how to ask; named before it."""
        if self.is_selective:
            return [
                *([hidden_tools()] if self.members else []),
                f"eligible as materialized ({self._all_that_pass()} limit {FEW + 1})",
                f"few as materialized (select count(*) <= {FEW} as are from eligible)",
            ]
        uses = f"select u.id from hidden join uses u on u.tool_id = hidden.id limit {MAX_HIDDEN}"
        return [hidden_tools(self.condition), f"hidden_uses as materialized ({uses})"]

    def _all_that_pass(self) -> str:
        if self.members:
            return f"select distinct m.tool_id as id from ({self.members}) m where {is_seen('m.tool_id')}"
        return f"select t.id from tools t where {self.condition}"

    def passes(self, tool_id: str) -> str:
        """Whether a tool passes. As a value, not as a join: rows are then asked one by one, in their order."""
        if self.members:
            return f"(select exists ({self.members} and m.tool_id = {tool_id}) and {is_seen(tool_id)})"
        if self.is_selective:
            return f"(select {self.condition} from tools t where t.id = {tool_id})"
        return is_seen(tool_id)

    def passes_use(self, use_id: str) -> str:
        """Whether the tool passes that was used."""
        if self.is_selective:
            return self.passes(f"(select u.tool_id from uses u where u.id = {use_id})")
        return f"{use_id} not in (select id from hidden_uses)"

    def best_by_words(self, limit: int) -> str:
        """The table `by_words`: the tools (`tool_id`) of which the table `words` (id, tools, weight) says most."""
        postings = "select tool_id, impact from postings where lexeme_id = words.id"
        best = "order by impact desc limit"
        if self.is_selective:
            gives_up = f"words.tools > {MAX_FILTERED_POSTINGS} and (select count(*) from by_index) < {limit}"
            found = f"""
                with by_index as materialized (
                    select p.tool_id, p.impact from ({postings} {best} {MAX_FILTERED_POSTINGS}) p
                    where not {_ARE_FEW} and {self.passes("p.tool_id")} limit {MAX_POSTINGS}
                )
                (select p.tool_id, p.impact from postings p join eligible on eligible.id = p.tool_id
                 where p.lexeme_id = words.id and {_ARE_FEW})
                union all
                (select * from by_index)
                union
                (select p.tool_id, p.impact from postings p join tools t on t.id = p.tool_id
                 where p.lexeme_id = words.id and not {_ARE_FEW} and {gives_up} and {self.condition}
                 {best} {MAX_POSTINGS})
            """
        else:
            found = f"{postings} and {self.passes('tool_id')} {best} {MAX_POSTINGS}"
        return f"""
            by_words as materialized (
                select p.tool_id from words cross join lateral ({found}) p
                group by p.tool_id order by sum(p.impact * words.weight) desc limit {limit}
            )"""

    def nearest(self, model: Model, vector: str, limit: str) -> str:
        """Tables that end with `by_vector`: the tools nearest to a vector (`tool_id`, `distance`).

        The index gives up when it has gone through so much (hnsw.max_scan_tuples, hnsw.scan_mem_multiplier).
        """
        distance = f"e.embedding::halfvec({model.dimensions}) <=> {vector}"
        found = f"select e.tool_id, {distance} as distance from embeddings e where e.model_id = {model.id}"
        by_index = f"{found} and {self.passes('e.tool_id')}"
        gives_up = f"(select count(*) from by_index) < {limit}"
        few = ""
        if self.is_selective:
            by_index, gives_up = f"{by_index} and not {_ARE_FEW}", f"{gives_up} and not {_ARE_FEW}"
            eligible = f"{found} and {_ARE_FEW} and {_is_one('e.tool_id', 'select id from eligible')}"
            few = f"union all (select * from ({eligible} offset 0) e order by distance limit {limit})"
        else:
            gives_up += " and exists (select from hidden)"
        all_that_pass = f"{found} and {gives_up} and {_is_one('e.tool_id', self._all_that_pass())}"
        # OFFSET 0 keeps the index out of an exact comparison.
        return f"""
            by_index as materialized ({by_index} order by {distance} limit {limit}),
            by_vector as materialized (
                select * from by_index {few}
                union (select * from ({all_that_pass} offset 0) e order by distance limit {limit})
            )"""
