"""Embeddings in PostgreSQL, per (tool, model): models stand beside each other, each with an index of its own."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from pgvector import HalfVector

from toolbox.database import Connection, Database
from toolbox.embeddings.base import Embedder
from toolbox.errors import SettingsError
from toolbox.index.calibration import calibrate

BATCH = 64
"""Tools embedded and committed at once: what a kill costs at most."""


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

    `report` hears (done, total) after each batch. Killed and started again, it goes on where it was.

    Returns:
        How many were embedded.

    Raises:
        EmbeddingError: The embedder failed; what was committed before stays.
    """
    pending = await database.fetch(_PENDING, model.id)
    for start in range(0, len(pending), BATCH):
        batch = pending[start : start + BATCH]
        texts = [row["embedding_text"] for row in batch]
        vectors = await embedder.embed(texts, "tool")
        await _store(database, model, [row["id"] for row in batch], texts, [HalfVector(vector) for vector in vectors])
        if report:
            await report(start + len(batch), len(pending))
    await calibrate(database, model, embedder)
    return len(pending)


_PENDING = """
    select t.id, t.embedding_text
    from tools t left join embeddings e on e.tool_id = t.id and e.model_id = $1
    where t.active and (e.tool_id is null or e.text_hash <> sha256(convert_to(t.embedding_text, 'UTF8')))
    order by t.id
"""


async def count_pending(database: Database, model: Model) -> int:
    """How many active tools the model has yet to embed."""
    row = await database.fetch_row(f"select count(*) as pending from ({_PENDING}) p", model.id)
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
