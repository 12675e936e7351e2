"""Embeddings of tools, kept in real files between evaluations."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from toolbox.cli.kept_embeddings import kept_embeddings
from toolbox.embeddings.base import Purpose

TEXTS = [f"text {number}" for number in range(20)]


class Counting:
    """An embedder that says how many texts it was given."""

    name = "counting"

    def __init__(self, dimensions: int = 8) -> None:
        self.dimensions = dimensions
        self.embedded = 0

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Any:
        self.embedded += len(texts)
        rows = [numpy.frombuffer(hashlib.sha256(text.encode()).digest(), numpy.uint8) for text in texts]
        vectors = numpy.array(rows, numpy.float32)[:, : self.dimensions]
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


async def embed(folder: Path, embedder: Counting) -> Any:
    with kept_embeddings(embedder, folder) as kept:
        return await kept.embed(TEXTS, "tool")


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_no_text_is_embedded_twice_and_nothing_else_is_left(tmp_path: Path) -> None:
    embedder = Counting()
    first, again = (
        await embed(tmp_path / "new" / "folder", embedder),
        await embed(tmp_path / "new" / "folder", embedder),
    )
    assert embedder.embedded == len(TEXTS)
    assert (first == again).all()
    assert [file.suffix for file in files(tmp_path / "new" / "folder")] == [".npz"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: b"",
        lambda whole: whole[:10],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole[:700] + bytes(40) + whole[740:],
        lambda whole: b"<html>not found</html>",
    ],
    ids=["empty", "begun", "half", "all but the end", "a hole", "another file"],
)
async def test_a_broken_file_is_made_anew(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    expected = await embed(tmp_path, Counting())
    (file,) = files(tmp_path)
    file.write_bytes(spoil(file.read_bytes()))
    embedder = Counting()
    for _ in range(2):
        assert (await embed(tmp_path, embedder) == expected).all()
    assert embedder.embedded == len(TEXTS)
    assert files(tmp_path) == [file]


async def test_vectors_of_another_dimension_are_made_anew(tmp_path: Path) -> None:
    await embed(tmp_path, Counting(dimensions=4))
    assert (await embed(tmp_path, Counting())).shape == (len(TEXTS), 8)


async def test_what_cannot_be_written_costs_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert (await embed(tmp_path / "file" / "cache", Counting())).shape == (len(TEXTS), 8)
