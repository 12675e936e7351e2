"""The vectors of uses: one for each model, so that what was learned outlives a change of models."""

from pgvector import HalfVector

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.index.embeddings import Model

BATCH = 256


async def embed_uses(database: Database, model: Model, embedder: Embedder) -> int:
    """Embed the queries of all uses that the model has not seen; gives back how many.

    Raises:
        EmbeddingError: The embedder failed; what was written before stays.
    """
    total = 0
    while True:
        rows = await database.fetch(
            """
            select u.id, u.query from uses u left join use_embeddings e on e.use_id = u.id and e.model_id = $1
            where e.use_id is null order by u.id desc limit $2
            """,
            model.id,
            BATCH,
        )
        if not rows:
            return total
        vectors = await embedder.embed([row["query"] for row in rows], "query")
        await database.execute(
            """
            insert into use_embeddings (use_id, model_id, embedding)
            select n.id, $1, n.embedding from unnest($2::bigint[], $3::halfvec[]) as n (id, embedding)
            join uses u on u.id = n.id on conflict do nothing
            """,
            model.id,
            [row["id"] for row in rows],
            [HalfVector(vector) for vector in vectors],
        )
        total += len(rows)
