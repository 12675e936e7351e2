# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=2.1", "onnxruntime>=1.23", "tokenizers>=0.22", "toolbox-registry"]
#
# [tool.uv.sources]
# toolbox-registry = { path = "../.." }
# ///
"""Measure embedding models on catalogues whose queries are known, by vectors alone and as the server searches.

DATA has a folder for each catalogue, as train_model.py describes; a MODEL is a folder with `model.onnx` and
`tokenizer.json`. Of each catalogue only `queries.jsonl` is asked::

    uv run --script measure_model.py DATA MODEL [MODEL ...] [--sets NAME ...] [--most QUERIES]

"Fused" is the statement of `toolbox.search.statement`, done in memory: the best hundred by vector and by words, and the
weighted sum of their z-scores. Names that a query spells out are not put first here, and clauses are
not searched for themselves.
"""

import argparse
import asyncio
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import toolbox
from toolbox.index.fields import embedding_text, lexical_fields, split_name
from toolbox.index.lexemes import impacts, lexemes
from toolbox.search.service import SearchQuery
from toolbox.search.sieve import MAX_POSTINGS
from toolbox.search.statement import CANDIDATES, MAX_QUERY_LEXEMES
from toolbox.tools.catalogue import read_catalogue
from toolbox_minilm import MAX_QUERY_TOKENS, MAX_TOOL_TOKENS

VECTOR_WEIGHT = SearchQuery("", 1).vector_weight
Array = np.ndarray[Any, Any]


async def main() -> None:
    """Print a line for each catalogue and model."""
    parser = argparse.ArgumentParser(description="Measure embedding models on catalogues whose queries are known.")
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--most", type=int, default=1000, help="queries of one set that are asked, drawn by chance")
    arguments = parser.parse_args()
    print("| catalogue | queries | model | vectors: N@10 | R@1 | R@5 | fused: N@10 | R@1 | R@5 |")
    print(9 * "|---" + "|")
    for name in arguments.sets:
        catalogue = read(arguments.data / name, arguments.most)
        words = [word_scores(catalogue, query.text) for query in catalogue.queries]
        for model in arguments.models:
            dense, fused = await measure(catalogue, words, model)
            figures = " | ".join(f"{100 * figure:.1f}" for figure in (*dense.mean(axis=0), *fused.mean(axis=0)))
            print(f"| {name} | {len(words)} | {model.name} | {figures} |", flush=True)


class Query(NamedTuple):
    """What is asked, and the tools that are right."""

    text: str
    relevant: frozenset[int]


class Catalogue(NamedTuple):
    """Tools by number: their texts, which tools hold a stem with what impact, and the queries."""

    texts: list[str]
    postings: dict[str, tuple[Array, Array]]
    queries: list[Query]


def read(folder: Path, most: int) -> Catalogue:
    """Read a catalogue and at most so many of its queries."""
    with (folder / "tools.jsonl").open("rb") as lines:
        imported = read_catalogue(lines, source=folder.name).tools
    numbers = {tool.id: number for number, tool in enumerate(imported)}
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, tool in enumerate(imported):
        for stem, impact in impacts(lexical_fields(tool.definition)).items():
            found[stem].append((number, impact))
    postings = {stem: (np.array([n for n, _ in held]), np.array([i for _, i in held])) for stem, held in found.items()}
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    rows = random.Random(1).sample(rows, min(most, len(rows)))  # noqa: S311 - the same queries every time
    queries = [Query(row["query"], frozenset(numbers[id_] for id_ in row["relevant"])) for row in rows]
    return Catalogue([embedding_text(tool.definition) for tool in imported], postings, queries)


class Words(NamedTuple):
    """The BM25 score of every tool, and the best tools, each found by words that are not in too many."""

    scores: Array
    best: Array


def word_scores(catalogue: Catalogue, text: str) -> Words:
    """Search by words."""
    size, postings = len(catalogue.texts), catalogue.postings
    known = sorted(stem for stem in set(lexemes(split_name(text))) if stem in postings)
    rarest = sorted(known, key=lambda stem: len(postings[stem][0]))[:MAX_QUERY_LEXEMES]
    scores, capped = np.zeros(size), np.zeros(size)
    for stem in rarest:
        tools, impact = postings[stem]
        gain = impact * math.log(1 + (size - len(tools) + 0.5) / (len(tools) + 0.5))
        scores[tools] += gain
        first = np.argsort(-impact, kind="stable")[:MAX_POSTINGS]
        capped[tools[first]] += gain[first]
    best = np.argsort(-capped, kind="stable")[:CANDIDATES]
    return Words(scores, best[capped[best] > 0])


async def measure(catalogue: Catalogue, words: Sequence[Words], model: Path) -> tuple[Array, Array]:
    """The figures of each query, by vectors alone and fused."""
    embedder = toolbox.OnnxEmbedder(
        name=model.name, dimensions=384, directory=model, max_tokens=MAX_QUERY_TOKENS, max_tool_tokens=MAX_TOOL_TOKENS
    )
    tools = await embedder.embed(catalogue.texts, "tool")
    queries = await embedder.embed([query.text for query in catalogue.queries], "query")
    dense, fused = [], []
    for query, vector, found in zip(catalogue.queries, queries, words, strict=True):
        cosines = tools @ vector
        nearest = np.argsort(-cosines, kind="stable")[:CANDIDATES]
        both = np.union1d(nearest, found.best)
        score = VECTOR_WEIGHT * z_scores(cosines[both]) + (1 - VECTOR_WEIGHT) * z_scores(found.scores[both])
        dense.append(list(figures_of(nearest.tolist(), query.relevant)))
        fused.append(list(figures_of(both[np.argsort(-score, kind="stable")].tolist(), query.relevant)))
    return np.array(dense), np.array(fused)


def z_scores(values: Array) -> Array:
    """How many standard deviations each value is above the mean."""
    scores: Array = (values - values.mean()) / (values.std() or 1.0)
    return scores


def figures_of(ranked: list[int], relevant: frozenset[int]) -> Iterator[float]:
    """nDCG@10 (Jarvelin and Kekalainen, 2002), recall among the first and among the first five."""
    gain = sum(1 / math.log2(rank + 2) for rank, tool in enumerate(ranked[:10]) if tool in relevant)
    yield gain / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant))))
    for depth in (1, 5):
        yield len(relevant.intersection(ranked[:depth])) / len(relevant)


if __name__ == "__main__":
    asyncio.run(main())
