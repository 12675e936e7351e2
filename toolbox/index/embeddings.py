"""Embeddings in PostgreSQL, per (tool, model): models stand beside each other, each with an index of its own."""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from pgvector import HalfVector

from toolbox.database import EMBEDDING_LOCKS, Connection, Database
from toolbox.embeddings.base import Embedder
from toolbox.errors import SettingsError
from toolbox.index.calibration import calibrate

BATCH = 128
"""Tools embedded and committed at once: what a kill costs at most. They are those whose ids lie in one such range."""


class Model(Struct, frozen=True):
    """An embedding model as the database knows it."""

    id: int
    name: str
    dimensions: int


async def register_model(database: Database, embedder: Embedder) -> Model:
    """Find or add the model of an embedder, with its HNSW index.

    Raises:
        SettingsError: The database knows a model of this name with another dimension.
    """
    row = await database.fetch_row(
        """
        insert into models as m (name, dimensions) values ($1, $2)
        on conflict (name) do update set dimensions = m.dimensions returning id, dimensions
        """,
        embedder.name,
        embedder.dimensions,
    )
    assert row is not None  # noqa: S101 - an upsert gives back its row
    if row["dimensions"] != embedder.dimensions:
        raise SettingsError(
            f"the model {embedder.name!r} gives {embedder.dimensions} dimensions, but the database holds vectors of "
            f"{row['dimensions']} under this name; a changed model needs a name of its own (EMBEDDING_MODEL)"
        )
    model = Model(row["id"], embedder.name, embedder.dimensions)
    async with database.connection() as connection:
        await create_vector_indexes(connection, model)
    return model


async def find_model(database: Database, embedder: Embedder) -> Model | None:
    """The model of an embedder, if it was ever used with this catalogue."""
    row = await database.fetch_row(
        "select id from models where name = $1 and dimensions = $2", embedder.name, embedder.dimensions
    )
    return Model(row["id"], embedder.name, embedder.dimensions) if row else None


async def fill_embeddings(
    database: Database, model: Model, embedder: Embedder, report: Callable[[int, int], Awaitable[None]] | None = None
) -> int:
    """Embed every active tool whose text the model has not seen, commit batch by batch, and calibrate what changed.

    Several processes share the work: a batch that another one is at is left to it, and looked at once more at the end.
    `report` hears (done, total) after each batch, whoever embedded it. Killed and started again, it goes on where it
    was.

    Returns:
        How many were embedded here.

    Raises:
        EmbeddingError: The embedder failed; what was committed before stays.
    """
    batches: defaultdict[int, list[int]] = defaultdict(list)
    for row in await database.fetch(_PENDING, model.id, None):
        batches[(row["id"] - 1) // BATCH].append(row["id"])
    total, done, embedded = sum(map(len, batches.values())), 0, 0
    left_to_others = list[int]()
    for wait, numbers in ((False, list(batches)), (True, left_to_others)):
        for number in numbers:
            async with database.share(EMBEDDING_LOCKS + model.id, number, wait=wait) as is_ours:
                if not is_ours:
                    left_to_others.append(number)
                    continue
                embedded += await _embed_batch(database, model, embedder, batches[number])
            done += len(batches[number])
            if report:
                await report(done, total)
    await calibrate(database, model, embedder)
    return embedded


async def _embed_batch(database: Database, model: Model, embedder: Embedder, tool_ids: list[int]) -> int:
    """Embed those of these tools that are still to be embedded."""
    rows = await database.fetch(_PENDING, model.id, tool_ids)
    if rows:
        texts = [row["embedding_text"] for row in rows]
        vectors = await embedder.embed(texts, "tool")
        await _store(database, model, [row["id"] for row in rows], texts, [HalfVector(vector) for vector in vectors])
    return len(rows)


_PENDING = """
    select t.id, t.embedding_text
    from tools t left join embeddings e on e.tool_id = t.id and e.model_id = $1
    where t.active and ($2::int[] is null or t.id = any($2))
        and (e.tool_id is null or e.text_hash <> sha256(convert_to(t.embedding_text, 'UTF8')))
    order by t.id
"""


async def count_pending(database: Database, model: Model) -> int:
    """How many active tools the model has yet to embed."""
    row = await database.fetch_row(f"select count(*) as pending from ({_PENDING}) p", model.id, None)
    return int(row["pending"]) if row else 0


async def _store(
    database: Database, model: Model, tool_ids: Sequence[int], texts: Sequence[str], vectors: Sequence[HalfVector]
) -> None:
    async with database.connection() as connection:
        # A tool deleted meanwhile has no row to refer to, so it is left out.
        await connection.execute(
            """
            insert into embeddings (tool_id, model_id, text_hash, embedding)
            select n.tool_id, $2, n.text_hash, n.embedding
            from unnest($1::int[], $3::bytea[], $4::halfvec[]) as n (tool_id, text_hash, embedding)
            join tools t on t.id = n.tool_id
            on conflict (tool_id, model_id) do update
            set text_hash = excluded.text_hash, embedding = excluded.embedding
            """,
            tool_ids,
            model.id,
            [hashlib.sha256(text.encode()).digest() for text in texts],
            vectors,
        )


async def create_vector_indexes(connection: Connection, model: Model) -> None:
    """An HNSW index needs a fixed dimension, and one over all models would mix them: each has a partial one.

    A new model has no vectors yet, so the index is made in an instant and blocks nobody.
    """
    for table in ("embeddings", "use_embeddings"):
        name = f"ix_{table}_model_{model.id}"
        if await connection.fetchval("select 1 from pg_class where relname = $1 and relkind = 'i'", name):
            continue
        await connection.execute(
            f"create index if not exists {name} on {table} "
            f"using hnsw ((embedding::halfvec({model.dimensions})) halfvec_cosine_ops) where model_id = {model.id}"
        )
