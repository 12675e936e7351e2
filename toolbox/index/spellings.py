"""The words of the catalogue as they are spelled: what a misspelled query can be held against."""

from collections.abc import Sequence

from toolbox.database import Connection
from toolbox.index.lexemes import spellings


async def add_spellings(connection: Connection, tool_ids: Sequence[int]) -> None:
    """Add the words of these tools that are not known yet. They are written in order, so that no two writers deadlock.

    They come from the text that is embedded: what stands only in a parameter's description is nobody's first word.
    """
    rows = await connection.fetch("select embedding_text from tools where id = any($1::int[])", list(tool_ids))
    found = dict[str, str]()
    for row in rows:
        found.update(spellings(row["embedding_text"]))
    await connection.execute(
        """
        insert into words (word, lexeme_id)
        select n.word, l.id from unnest($1::text[], $2::text[]) as n (word, stem) join lexemes l on l.lexeme = n.stem
        order by n.word on conflict (word) do nothing
        """,
        list(found),
        list(found.values()),
    )
