"""The model that this package ships: that it is the one described, and that its vectors are good for search."""

import asyncio
import hashlib
import re
from pathlib import Path

import numpy
import pytest

import toolbox
import toolbox_minilm

MODEL = Path(toolbox_minilm.__file__).parent / "model"

TOOLS = [
    "weather. get forecast. Get the weather forecast for a city for the next days. Parameters: city, days",
    "email. send message. Send an e-mail to one or more recipients. Parameters: to, subject, body",
    "finance. convert currency. Convert money from one currency into another. Parameters: amount, from, to",
    "database. run query. Run a read-only SQL query against the database. Parameters: sql",
    "files. resize image. Resize a picture to a width and a height. Parameters: path, width, height",
    "travel. search flights. Search for flights between two airports on a date. Parameters: origin, destination, date",
    "issues. create issue. Open a new issue in the tracker of a repository. Parameters: title, body, labels",
    "translate text. Translate a text into another language. Parameters: text, target",
]
QUESTIONS = {
    "will it rain in Lisbon tomorrow?": 0,
    "let Anna know by mail that I am late": 1,
    "how many euros are 250 dollars": 2,
    "count the rows of the orders table": 3,
    "make this photo smaller": 4,
    "I need to fly from Oslo to Rome on Friday": 5,
    "report a bug in the project": 6,
    "what does this sentence say in Japanese": 7,
}


@pytest.fixture(scope="session")
def embedder() -> toolbox.Embedder:
    (offered,) = toolbox_minilm.toolbox_embedders()
    return offered


def variant(**options: object) -> toolbox.OnnxEmbedder:
    return toolbox.OnnxEmbedder(name="variant", dimensions=384, directory=MODEL, **options)  # type: ignore[arg-type]


def test_the_plugin_offers_one_embedder_however_often_it_is_asked(embedder: toolbox.Embedder) -> None:
    assert isinstance(embedder, toolbox.Embedder)
    assert (embedder.name, embedder.dimensions) == ("MiniLM-L6-tools-4-int8", 384)
    assert toolbox_minilm.toolbox_embedders()[0] is embedder


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_the_files_are_those_that_the_model_card_names(file: str) -> None:
    card = (MODEL / "MODEL_CARD.md").read_text()
    (promised,) = re.findall(rf"`{re.escape(file)}` .*`([0-9a-f]{{64}})`", card)
    assert hashlib.sha256((MODEL / file).read_bytes()).hexdigest() == promised


async def test_each_question_is_nearest_to_the_tool_that_answers_it(embedder: toolbox.Embedder) -> None:
    tools = await embedder.embed(TOOLS, "tool")
    questions = await embedder.embed(list(QUESTIONS), "query")
    assert (questions @ tools.T).argmax(axis=1).tolist() == list(QUESTIONS.values())


async def test_similarities_are_those_of_the_original_model(embedder: toolbox.Embedder) -> None:
    """The numbers come from transformers.BertModel in fp32."""
    first, *others = await embedder.embed(ORIGINAL_TEXTS, "query")
    assert [float(first @ other) for other in others] == pytest.approx(ORIGINAL_SIMILARITIES, abs=0.03)


async def test_rows_are_float32_of_length_one(embedder: toolbox.Embedder) -> None:
    vectors = await embedder.embed([*TOOLS, "", "!", "日本語", "😀"], "tool")
    assert vectors.dtype == numpy.float32
    assert vectors.shape == (len(TOOLS) + 4, 384)
    assert numpy.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


async def test_the_order_of_texts_is_kept(embedder: toolbox.Embedder) -> None:
    texts = [f"{'very ' * (number * 37 % 60)}long text, number {number}" for number in range(100)]
    together = await embedder.embed(texts, "tool")
    one_by_one = numpy.concatenate([await embedder.embed([text], "tool") for text in texts])
    assert (together * one_by_one).sum(axis=1).min() > 0.999


async def test_a_vector_does_not_depend_on_what_is_embedded_beside_it(embedder: toolbox.Embedder) -> None:
    alone = (await embedder.embed(["resize a picture"], "tool"))[0]
    neighbours = [
        "!!!!!!",
        "the " * 200,
        "SELECT * FROM users WHERE id = 5;",
        "你好世界",
        "resize a photo of a cat please",
    ]
    for neighbour in neighbours:
        beside = (await embedder.embed([neighbour, "resize a picture"], "tool"))[1]
        assert float(beside @ alone) > 0.999


async def test_no_texts_give_no_rows(embedder: toolbox.Embedder) -> None:
    assert (await embedder.embed([], "tool")).shape == (0, 384)


async def test_a_long_query_is_cut_at_256_tokens_and_the_text_of_a_tool_at_128(embedder: toolbox.Embedder) -> None:
    def words(count: int) -> str:
        return "tool " * count  # one token each; two more mark start and end

    for purpose, limit in (("query", 256), ("tool", 128)):
        shorter, full, cut, very_long = [
            await embedder.embed([words(count)], purpose)  # type: ignore[arg-type]
            for count in (limit - 3, limit - 2, limit - 1, 100_000)
        ]
        assert not numpy.array_equal(shorter, full)
        assert numpy.array_equal(full, cut)
        assert numpy.array_equal(full, very_long)


async def test_half_a_character_does_not_cost_the_other_texts_their_vectors(embedder: toolbox.Embedder) -> None:
    alone = await embedder.embed(["send a message"], "query")
    broken, whole = await embedder.embed(["\ud83d", "send a message"], "query")
    assert float(whole @ alone[0]) > 0.999
    assert numpy.isfinite(broken).all()


async def test_prefixes_are_put_before_the_texts(embedder: toolbox.Embedder) -> None:
    prefixed = variant(query_prefix="search: ", tool_prefix="document: ")
    query, tool = await prefixed.embed(["rain"], "query"), await prefixed.embed(["rain"], "tool")
    assert numpy.array_equal(query, await embedder.embed(["search: rain"], "query"))
    assert numpy.array_equal(tool, await embedder.embed(["document: rain"], "query"))


async def test_queries_at_the_same_time_get_the_vectors_that_they_get_alone(embedder: toolbox.Embedder) -> None:
    queries = [f"{question} {number}" for number in range(25) for question in QUESTIONS]
    one_by_one = [await embedder.embed([query], "query") for query in queries]
    at_once = await asyncio.gather(*(embedder.embed([query], "query") for query in queries))
    assert numpy.concatenate(at_once) == pytest.approx(numpy.concatenate(one_by_one), abs=1e-6)


async def test_the_first_queries_at_the_same_time_share_one_loading() -> None:
    fresh = variant(threads=4)
    vectors = await asyncio.gather(*(fresh.embed(["find a tool"], "query") for _ in range(8)))
    assert all(numpy.array_equal(vector, vectors[0]) for vector in vectors)


@pytest.mark.parametrize("threads", [1, 2, 4])
async def test_the_number_of_threads_changes_no_vector(embedder: toolbox.Embedder, threads: int) -> None:
    texts = TOOLS * 10
    vectors = await variant(threads=threads).embed(texts, "query")
    assert vectors == pytest.approx(await embedder.embed(texts, "query"), abs=1e-6)


async def test_a_query_does_not_wait_for_a_long_batch(embedder: toolbox.Embedder) -> None:
    batch = asyncio.create_task(embedder.embed([f"{text} {number}" for number in range(50) for text in TOOLS], "tool"))
    await embedder.embed(["first query"], "query")
    await embedder.embed(["second query"], "query")
    assert not batch.done()
    assert (await batch).shape == (400, 384)


async def test_a_cancelled_batch_leaves_the_embedder_usable(embedder: toolbox.Embedder) -> None:
    before = await embedder.embed(["a query"], "query")
    batch = asyncio.create_task(embedder.embed([f"{text} {number}" for number in range(50) for text in TOOLS], "tool"))
    await embedder.embed(["another query"], "query")
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert numpy.array_equal(await embedder.embed(["a query"], "query"), before)


ORIGINAL_TEXTS = [
    "Get the weather forecast for a city",
    "What will the weather be like in Berlin tomorrow?",
    "temperature and rain for the next seven days",
    "Send an e-mail to a colleague",
    "convert 100 dollars into euros",
    "city map with streets",
]
ORIGINAL_SIMILARITIES = [0.5987, 0.4442, 0.1295, -0.0125, 0.3697]
