"""The client of an embedding endpoint, against a real HTTP server that misbehaves."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import numpy
import pytest
import structlog
from structlog.testing import capture_logs

from tests.embeddings.endpoint_server import (
    DIMENSIONS,
    Answer,
    Asked,
    EndpointServer,
    first_fail,
    good,
    rows,
    vector,
)
from toolbox.embeddings import endpoint as endpoint_module
from toolbox.embeddings.answers import parse_retry_after
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.embeddings.endpoint import EndpointEmbedder, complete_url, open_endpoint
from toolbox.errors import EmbeddingError, SettingsError
from toolbox.settings import Secret, Settings

KEY = "sk-very-secret-0123456789"


def settings_for(server: EndpointServer, **changes: Any) -> Settings:
    wanted: dict[str, Any] = {
        "embedding_endpoint_url": server.url,
        "embedding_api_key": Secret(KEY),
        "embedding_model": "words",
        "embedding_dimension": DIMENSIONS,
        "embedding_batch_size": 4,
        "embedding_timeout": 3.0,
    }
    return Settings(**(wanted | changes))


@pytest.fixture
async def embedder(server: EndpointServer) -> AsyncIterator[EndpointEmbedder]:
    async with open_endpoint(settings_for(server)) as opened:
        yield opened


def expected(texts: list[str]) -> Any:
    vectors = numpy.array([vector(text) for text in texts]).reshape(len(texts), DIMENSIONS)
    return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


def assert_right(vectors: Any, texts: list[str]) -> None:
    assert vectors.dtype == numpy.float32
    assert vectors.shape == (len(texts), DIMENSIONS)
    assert numpy.abs(vectors - expected(texts)).max(initial=0) < 1e-6


TEXTS = [f"text {number}" for number in range(10)]


async def test_texts_are_sent_in_batches_and_come_back_in_order(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    assert sorted(server.batches) == [TEXTS[:4], TEXTS[4:8], TEXTS[8:]]
    assert {asked.path for asked in server.asked} == {"/v1/embeddings"}
    assert server.asked[0].body == {"model": "words", "input": server.asked[0].texts}
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert isinstance(embedder, Embedder)
    assert embedder.name == "words@64"


async def test_nothing_to_embed_asks_nobody(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    assert (await embedder.embed([], "tool")).shape == (0, DIMENSIONS)
    assert server.asked == []


async def test_the_index_decides_and_not_the_order_of_the_answer(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer({"data": rows(asked.texts)[::-1]})
    assert_right(await embedder.embed(TEXTS[:4], "tool"), TEXTS[:4])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "shape",
    [
        lambda texts: {"embeddings": [vector(text) for text in texts]},
        lambda texts: {"data": [{"embedding": vector(text)} for text in texts]},
        lambda texts: {"data": [vector(text) for text in texts]},
        lambda texts: [vector(text) for text in texts],
        lambda texts: rows(texts)[::-1],
        lambda texts: vector(texts[0]) if len(texts) == 1 else [vector(text) for text in texts],
    ],
    ids=["embeddings", "no index", "data of vectors", "bare list", "bare list of objects", "bare vector"],
)
async def test_answers_in_other_shapes_are_read(
    server: EndpointServer, embedder: EndpointEmbedder, shape: Callable[[list[str]], Any]
) -> None:
    server.behave = lambda asked: Answer(shape(asked.texts))
    assert_right(await embedder.embed(TEXTS[:3], "tool"), TEXTS[:3])
    assert_right(await embedder.embed(TEXTS[:1], "query"), TEXTS[:1])
    assert len(server.asked) == 2


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_endpoint_that_refuses_batches_gets_what_it_takes_from_then_on(
    server: EndpointServer, embedder: EndpointEmbedder, most: int, status: int
) -> None:
    server.behave = lambda asked: good(asked) if len(asked.texts) <= most else Answer({"error": "too many"}, status)
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    server.asked.clear()
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    assert {len(texts) for texts in server.batches} == {most}


async def test_an_endpoint_that_takes_no_lists_gets_single_texts(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: good(asked) if isinstance(asked.body["input"], str) else Answer("no lists", 422)
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    server.asked.clear()
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    assert sorted(asked.body["input"] for asked in server.asked) == TEXTS


async def test_an_endpoint_that_answers_only_the_first_of_a_batch_is_asked_one_by_one(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer({"data": rows(asked.texts[:1])})
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)


async def test_indices_that_say_nothing_are_not_trusted(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    server.behave = lambda asked: Answer({"data": [row | {"index": 0} for row in rows(asked.texts)]})
    assert_right(await embedder.embed(TEXTS, "tool"), TEXTS)
    assert server.batches[-1] == [server.batches[-1][0]]


async def test_too_many_vectors_for_one_text_are_an_error_that_says_so(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer({"data": rows(["a", "b"])})
    with pytest.raises(EmbeddingError, match="answered 2 vectors for 1 texts"):
        await embedder.embed(["a"], "query")


async def test_a_text_that_is_too_long_is_cut_and_the_others_stay_whole_and_together(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    def behave(asked: Asked) -> Answer:
        return good(asked) if max(map(len, asked.texts)) <= 1000 else Answer({"error": "more than 512 tokens"}, 413)

    server.behave = behave
    long = "word " * 900
    texts = ["a", "b", long, "c"]
    assert_right(await embedder.embed(texts, "tool"), ["a", "b", long[:562], "c"])
    server.asked.clear()
    await embedder.embed(TEXTS[:4], "tool")
    assert server.batches == [TEXTS[:4]]


async def test_a_short_text_that_is_refused_is_an_error_and_no_outage(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer({"error": "not this"}, 400) if asked.texts == ["bad"] else good(asked)
    for _ in range(5):
        with pytest.raises(EmbeddingError, match=r"refuses a text: .* answered 400: .*not this"):
            await embedder.embed(["bad"], "query")
    assert embedder.problem is None
    assert_right(await embedder.embed(["good"], "query"), ["good"])


@pytest.mark.parametrize("text", ["a", "word " * 200], ids=["short", "long"])
async def test_an_endpoint_that_refuses_every_text_is_out_of_order(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.2)
    server.behave = lambda asked: Answer({"error": "model not found"}, 400)
    async with open_endpoint(settings_for(server)) as embedder:
        for _ in range(3):
            assert embedder.outage is None
            with pytest.raises(EmbeddingError, match=r"refuses every text: .* answered 400: .*model not found"):
                await embedder.embed([text, "b", "c"], "query")
            assert "model not found" in (embedder.problem or "")
        for _ in range(2):  # tried in vain after the first rest, it rests once more
            server.asked.clear()
            with pytest.raises(EmbeddingError, match=r"left alone for a moment after: .*refuses every text"):
                await embedder.embed(["b"], "query")
            assert server.asked == []
            while not server.asked:
                with pytest.raises(EmbeddingError, match="refuses every text"):
                    await embedder.embed(["b"], "query")
        server.behave = good
        await embed_when_allowed(embedder)
        assert embedder.problem is None


async def test_texts_that_cannot_be_sent_as_they_are_are_mended(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    await embedder.embed(["half \ud800 a pair", ""], "tool")
    assert server.batches == [["half ? a pair", " "]]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_what_may_be_over_in_a_moment_is_tried_again(
    server: EndpointServer, embedder: EndpointEmbedder, status: int
) -> None:
    server.behave = first_fail(2, Answer("busy", status))
    assert_right(await embedder.embed(["a"], "query"), ["a"])
    assert len(server.asked) == 3
    assert embedder.problem is None


async def test_tries_are_apart_and_not_at_the_same_distance(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    pauses = set()
    for _ in range(3):
        server.asked.clear()
        server.behave = first_fail(2, Answer("busy", 503))
        await embedder.embed(["a"], "query")
        first, second, third = (asked.at for asked in server.asked)
        assert second - first >= 0.1
        assert third - second >= 0.2
        pauses.add(round(second - first, 3))
    assert len(pauses) > 1


@pytest.mark.parametrize(
    "behave",
    [
        lambda asked: Answer(b"<html>gateway</html>"),
        lambda asked: Answer(b""),
        lambda asked: Answer(b'{"data": [{"embedding": [0.1, 0.2'),
        lambda asked: Answer({"error": {"message": "overloaded"}}),
        lambda asked: Answer({"data": None}),
        lambda asked: Answer({"data": [{"index": 0}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": ["x"] * DIMENSIONS}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": [None] * DIMENSIONS}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": [vector("a"), vector("b")]}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": [0.0] * DIMENSIONS}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": [1e300] * DIMENSIONS}]}),
        lambda asked: Answer({"data": [{"index": 0, "embedding": [10**400] * DIMENSIONS}]}),
    ],
)
async def test_garbage_is_tried_again_and_then_an_error(
    server: EndpointServer, embedder: EndpointEmbedder, behave: Callable[[Asked], Answer]
) -> None:
    server.behave = behave
    with pytest.raises(EmbeddingError, match=r"embedding endpoint 127\.0\.0\.1 answered"):
        await embedder.embed(["a"], "query")
    assert len(server.asked) == 3


async def test_vectors_of_unequal_length_are_garbage(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    server.behave = lambda asked: Answer({"embeddings": [vector("a"), [1.0]]})
    with pytest.raises(EmbeddingError, match="something else than vectors"):
        await embedder.embed(["a", "b"], "query")


async def test_a_wrong_dimension_is_an_error_that_says_what_to_do(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer({"embeddings": [vector(text, 32) for text in asked.texts]})
    with pytest.raises(
        EmbeddingError,
        match=r"gives 32 dimensions for the model 'words', but 64 are expected: set EMBEDDING_DIMENSION=32",
    ):
        await embedder.embed(["a"], "query")


async def test_a_model_that_can_be_shortened_is_asked_for_the_dimension(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    def behave(asked: Asked) -> Answer:
        return Answer({"embeddings": [vector(text, asked.body.get("dimensions", 128)) for text in asked.texts]})

    server.behave = behave
    assert_right(await embedder.embed(["a"], "query"), ["a"])
    assert_right(await embedder.embed(["b"], "query"), ["b"])
    assert [asked.body.get("dimensions") for asked in server.asked] == [None, DIMENSIONS, DIMENSIONS]


@pytest.mark.parametrize("searches", [1, 2, 5])
async def test_a_wrong_dimension_that_passes_leaves_no_trace(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch, searches: int
) -> None:
    """The endpoint gives another dimension for a while, then the right one, and refuses to be asked for it."""
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.05)
    async with open_endpoint(settings_for(server)) as embedder:
        server.behave = lambda asked: Answer({"embeddings": [vector(text, 32) for text in asked.texts]})
        for _ in range(searches):
            with pytest.raises(EmbeddingError, match="gives 32 dimensions"):
                await embedder.embed(["a"], "query")
        server.behave = lambda asked: Answer("what?", 400) if "dimensions" in asked.body else good(asked)
        assert_right(await embed_when_allowed(embedder), ["probe"])
        assert_right(await embedder.embed(["a"], "query"), ["a"])
        assert embedder.problem is None


@pytest.mark.parametrize("second", [Answer("busy", 500), Answer("no key", 401), None], ids=["500", "401", "hangs"])
async def test_a_second_try_that_fails_settles_nothing(server: EndpointServer, second: Answer | None) -> None:
    def behave(asked: Asked) -> Answer | None:
        if "dimensions" in asked.body:
            return second
        return Answer({"embeddings": [vector(text, 32) for text in asked.texts]})

    server.behave = behave
    async with open_endpoint(settings_for(server, embedding_timeout=0.5)) as embedder:
        with pytest.raises(EmbeddingError):
            await embedder.embed(["a"], "query")
        server.behave = lambda asked: Answer("what?", 400) if "dimensions" in asked.body else good(asked)
        assert_right(await embedder.embed(["b"], "query"), ["b"])


async def test_a_model_that_could_be_shortened_may_give_way_to_one_that_cannot(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer(
        {"embeddings": [vector(text, asked.body.get("dimensions", 128)) for text in asked.texts]}
    )
    assert_right(await embedder.embed(["a"], "query"), ["a"])
    server.behave = lambda asked: Answer("what?", 400) if "dimensions" in asked.body else good(asked)
    for text in ("b", "c"):
        assert_right(await embedder.embed([text], "query"), [text])
    assert [asked.body.get("dimensions") for asked in server.asked] == [None, DIMENSIONS, DIMENSIONS, None, None]


async def test_a_model_that_is_shortened_is_found_again_after_an_outage(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.05)
    await server.stop()
    async with open_endpoint(settings_for(server)) as embedder:
        for _ in range(3):
            with pytest.raises(EmbeddingError):
                await embedder.embed(["a"], "query")
        assert embedder.outage
        server.behave = lambda asked: Answer(
            {"embeddings": [vector(text, asked.body.get("dimensions", 128)) for text in asked.texts]}
        )
        await server.start()
        assert_right(await embed_when_allowed(embedder), ["probe"])


async def test_without_a_dimension_it_is_what_the_first_answer_has(server: EndpointServer) -> None:
    async with open_endpoint(settings_for(server, embedding_dimension=None)) as embedder:
        with pytest.raises(EmbeddingError, match="not known before the endpoint has answered"):
            _ = embedder.dimensions
        await embedder.embed(["a"], "query")
        assert embedder.dimensions == DIMENSIONS


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_will_not_change_is_not_tried_again(
    server: EndpointServer, embedder: EndpointEmbedder, status: int
) -> None:
    server.behave = lambda asked: Answer({"error": {"message": "no such model or key"}}, status)
    with pytest.raises(EmbeddingError, match=f"answered {status}: .*no such model or key"):
        await embedder.embed(["a"], "query")
    assert len(server.asked) == 1
    assert f"answered {status}" in (embedder.problem or "")
    assert embedder.outage is None
    server.behave = good
    await embedder.embed(["a"], "query")
    assert embedder.problem is None


async def test_retry_after_is_kept_to(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    server.behave = first_fail(1, Answer("slow down", 429, ("Retry-After: 1",)))
    assert_right(await embedder.embed(["a"], "query"), ["a"])
    first, second = (asked.at for asked in server.asked)
    assert second - first >= 1.0


async def test_a_rest_longer_than_anybody_waits_is_kept_to_without_waiting(
    server: EndpointServer, embedder: EndpointEmbedder
) -> None:
    server.behave = lambda asked: Answer("slow down", 429, ("Retry-After: 3600",))
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(EmbeddingError, match="slow down"):
            await embedder.embed(["a"], "query")
    assert len(server.asked) == 1
    assert time.monotonic() - start < 3.0
    assert embedder.problem


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = parse_retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert soon is not None
    assert 28 < soon <= 30
    assert parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT") == 0
    assert [parse_retry_after(value) for value in (None, "", "soon", "nan", "7")] == [None, None, None, None, 7]


async def test_an_endpoint_that_hangs_costs_a_query_its_time_and_no_more(server: EndpointServer) -> None:
    server.behave = lambda asked: None
    async with open_endpoint(settings_for(server, embedding_timeout=0.3)) as embedder:
        start = time.monotonic()
        with pytest.raises(EmbeddingError, match=r"did not answer within 0\.3 s"):
            await embedder.embed(["a"], "query")
        assert 0.3 <= time.monotonic() - start < 3.0


async def test_a_batch_of_tools_may_take_longer_than_a_query(server: EndpointServer) -> None:
    async with open_endpoint(settings_for(server, embedding_timeout=0.2)) as embedder:
        server.go_on.clear()
        asyncio.get_running_loop().call_later(0.5, server.go_on.set)
        assert_right(await embedder.embed(["a"], "tool"), ["a"])


async def test_an_endpoint_that_is_not_there_is_named(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    await server.stop()
    with pytest.raises(EmbeddingError, match=r"endpoint 127\.0\.0\.1 cannot be reached: ConnectError"):
        await embedder.embed(["a"], "query")


async def test_a_connection_that_breaks_is_replaced(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    await embedder.embed(["a"], "query")
    await server.stop()
    await server.start()
    assert_right(await embedder.embed(["b"], "query"), ["b"])


async def test_an_answer_without_end_is_given_up(
    server: EndpointServer, embedder: EndpointEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "LARGEST_ANSWER", 1000)
    server.behave = lambda asked: Answer(b" " * 100_000)
    with pytest.raises(EmbeddingError, match="larger than 1000 bytes"):
        await embedder.embed(["a"], "query")


async def test_after_failures_it_is_left_alone_then_tried_once_and_used_again(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.5)
    async with open_endpoint(settings_for(server)) as embedder:
        server.behave = lambda asked: Answer("out of order", 500)
        for _ in range(3):
            with pytest.raises(EmbeddingError, match=r"answered 500: .*out of order"):
                await embedder.embed(["a"], "query")
        asked_before = len(server.asked)
        assert asked_before == 9
        for _ in range(20):
            with pytest.raises(EmbeddingError, match=r"left alone for a moment after: .* answered 500"):
                await embedder.embed(["a"], "query")
        assert len(server.asked) == asked_before
        server.behave = good
        server.is_asked.clear()
        server.go_on.clear()
        recovered = asyncio.create_task(embed_when_allowed(embedder))
        await server.is_asked.wait()
        with pytest.raises(EmbeddingError, match="left alone"):
            await embedder.embed(["b"], "query")
        server.go_on.set()
        assert_right(await recovered, ["probe"])
        assert len(server.asked) == asked_before + 1
        assert embedder.problem is None


async def embed_when_allowed(embedder: EndpointEmbedder) -> Any:
    """Come again and again, as searches do."""
    while True:
        try:
            return await embedder.embed(["probe"], "query")
        except EmbeddingError:
            await asyncio.sleep(0)


async def test_an_outage_is_logged_once_and_so_is_its_end(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.05)
    async with open_endpoint(settings_for(server)) as embedder:
        with capture_logs() as logs:
            await server.stop()
            for _ in range(10):
                with pytest.raises(EmbeddingError):
                    await embedder.embed(["a"], "query")
            await server.start()
            await embed_when_allowed(embedder)
    said = [(entry["log_level"], entry["event"]) for entry in logs if entry["event"] != "trying again"]
    assert said == [
        ("warning", "the embedding endpoint fails; it is tried now and then"),
        ("info", "the embedding endpoint answers again"),
    ]


async def test_the_key_shows_nowhere(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    shown: list[Any] = [repr(embedder), repr(settings_for(server))]
    with capture_logs() as logs:
        for answer in (Answer({"error": f"wrong key: {KEY}"}, 401), Answer(f"{KEY} is busy", 500)):
            server.behave = first_fail(5, answer)
            with pytest.raises(EmbeddingError) as caught:
                await embedder.embed(["a"], "query")
            shown += [caught.value.message, structlog.processors.format_exc_info(None, "", {"exc_info": caught.value})]
    shown += [msgspec.json.encode(logs).decode(), embedder.problem or ""]
    assert not [text for text in shown if KEY in str(text)]


@pytest.mark.parametrize("key", ["line\nbreak", "schlüssel"])
async def test_a_key_that_no_header_can_hold_refuses_the_start_and_is_not_shown(
    server: EndpointServer, key: str
) -> None:
    with pytest.raises(SettingsError, match="EMBEDDING_API_KEY") as caught:
        async with open_endpoint(settings_for(server, embedding_api_key=Secret(key))):
            pass
    assert key not in caught.value.message


async def test_an_endpoint_needs_the_name_of_a_model(server: EndpointServer) -> None:
    with pytest.raises(SettingsError, match="EMBEDDING_MODEL is not set"):
        async with open_endpoint(settings_for(server, embedding_model=None)):
            pass


@pytest.mark.parametrize("url", ["http://host:99999", "http://[::1", "http://host:port/v1"])
async def test_a_url_that_is_none_refuses_the_start(server: EndpointServer, url: str) -> None:
    with pytest.raises(SettingsError, match="EMBEDDING_ENDPOINT_URL cannot be used"):
        async with open_endpoint(settings_for(server, embedding_endpoint_url=url)):
            pass


async def test_connections_are_kept_and_limited(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    for _ in range(5):
        await embedder.embed(["a"], "query")
    assert server.most_connections == 1
    await asyncio.gather(*(embedder.embed([str(number)], "query") for number in range(100)))
    assert server.most_connections <= endpoint_module.CONNECTIONS
    assert len(server.asked) == 105


async def test_whatever_goes_wrong_nobody_gets_the_vectors_of_other_texts(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many callers, some of whom give up, in front of an endpoint that does anything but what it should."""
    monkeypatch.setattr(endpoint_module, "REST_SECONDS", 0.01)
    chance = random.Random(7)
    moods: list[Callable[[Asked], Answer | None]] = [
        *[good] * 12,
        lambda asked: Answer({"data": rows(asked.texts)[::-1]}),
        lambda asked: Answer({"embeddings": [vector(text) for text in asked.texts]}),
        lambda asked: Answer({"data": rows(asked.texts[:1])}),
        lambda asked: Answer({"data": rows([*asked.texts, "more"])}),
        lambda asked: Answer({"embeddings": [vector(text, 32) for text in asked.texts]}),
        lambda asked: Answer("too many", 400) if len(asked.texts) > 2 else good(asked),
        lambda asked: Answer("busy", 500),
        lambda asked: Answer("slow down", 429, ("Retry-After: 0",)),
        lambda asked: Answer(b"<html>"),
        lambda asked: None,
    ]
    server.behave = lambda asked: chance.choice(moods)(asked)
    async with open_endpoint(settings_for(server, embedding_timeout=0.2)) as embedder:
        cached = CachedEmbedder(embedder, ttl_seconds=60)

        async def call(number: int) -> bool:
            texts = [f"text {chance.randrange(60)}" for _ in range(number % 7)]
            try:
                async with asyncio.timeout(0.05 if number % 5 == 0 else 60):
                    vectors = await cached.embed(texts, "query" if number % 2 else "tool")
            except (EmbeddingError, TimeoutError):
                return False
            assert_right(vectors, texts)
            return True

        succeeded = [await asyncio.gather(*(call(number) for number in range(20))) for _ in range(15)]
        await cached.close()
    assert sum(map(sum, succeeded)) > 30


async def test_the_first_batch_that_fails_ends_the_others(server: EndpointServer, embedder: EndpointEmbedder) -> None:
    server.behave = lambda asked: Answer("no key", 401) if TEXTS[0] in asked.texts else None
    with pytest.raises(EmbeddingError, match="401"):
        await embedder.embed(TEXTS, "tool")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://host", "https://host/v1/embeddings"),
        ("https://host/", "https://host/v1/embeddings"),
        ("https://host/v1", "https://host/v1/embeddings"),
        ("https://host/v1/", "https://host/v1/embeddings"),
        ("https://host/v1/embeddings", "https://host/v1/embeddings"),
        ("http://host:11434/api/embed", "http://host:11434/api/embed"),
        ("https://host/openai/v1?api-version=1", "https://host/openai/v1/embeddings?api-version=1"),
    ],
)
def test_the_path_of_a_url_may_be_left_out(given: str, asked: str) -> None:
    assert complete_url(given) == asked
