"""What an ONNX embedder says when its model cannot be used; the model itself is tested with toolbox-minilm."""

import sys
from pathlib import Path

import pytest

import toolbox_minilm
from toolbox.embeddings.base import known_words
from toolbox.embeddings.onnx import OnnxEmbedder
from toolbox.errors import EmbeddingError

MODEL = Path(toolbox_minilm.__file__).parent / "model"


def embedder(directory: Path, dimensions: int = 384) -> OnnxEmbedder:
    return OnnxEmbedder(name="small", dimensions=dimensions, directory=directory)


@pytest.mark.parametrize("package", ["numpy", "onnxruntime", "tokenizers"])
async def test_a_package_that_is_not_installed_is_named_with_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EmbeddingError, match=rf"'small' needs the package {package}: pip install"):
        await embedder(MODEL).embed(["text"], "query")


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
async def test_a_file_that_is_missing_is_named_and_looked_for_again(missing: str, tmp_path: Path) -> None:
    for name in {"model.onnx", "tokenizer.json"} - {missing}:
        (tmp_path / name).symlink_to(MODEL / name)
    incomplete = embedder(tmp_path)
    with pytest.raises(EmbeddingError, match=f"needs the file .*{missing}: reinstall its package"):
        await incomplete.embed(["text"], "tool")
    (tmp_path / missing).symlink_to(MODEL / missing)
    assert (await incomplete.embed(["text"], "tool")).shape == (1, 384)


@pytest.mark.parametrize("broken", ["model.onnx", "tokenizer.json"])
async def test_a_broken_file_is_an_embedding_error(broken: str, tmp_path: Path) -> None:
    for name in {"model.onnx", "tokenizer.json"} - {broken}:
        (tmp_path / name).symlink_to(MODEL / name)
    (tmp_path / broken).write_bytes(b"not what it should be")
    with pytest.raises(EmbeddingError, match="'small' cannot be loaded from"):
        await embedder(tmp_path).embed(["text"], "query")


async def test_words_that_are_one_token_are_known(tmp_path: Path) -> None:
    words = ["weather", "wether", "forecast", "forcast", "", "naïve", "日本", "two words"]
    assert await known_words(embedder(MODEL), words) == {"weather", "forecast"}
    with pytest.raises(EmbeddingError, match=r"model\.onnx"):
        await known_words(embedder(tmp_path), words)


async def test_a_model_of_another_size_than_promised_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="gives 384 dimensions, but promises 512"):
        await embedder(MODEL, dimensions=512).embed(["text"], "query")
