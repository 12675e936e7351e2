"""An embedding model behind an HTTP endpoint, asked as OpenAI's is: `{"model": ..., "input": [...]}`.

Endpoints differ in what they answer, in how many texts they take at once and in how long a text may be. So an answer is
read in any of its usual shapes, what is refused is sent in smaller parts, and what worked is remembered.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from toolbox.breaker import Breaker, BreakerOpen
from toolbox.embeddings.answers import Refused, parse_retry_after, read_rows
from toolbox.embeddings.base import Purpose
from toolbox.errors import EmbeddingError, SettingsError
from toolbox.settings import Secret, Settings

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors

logger = structlog.get_logger(__name__)

REQUESTS_AT_ONCE = 4
"""Of one embed() call; more would only queue in the endpoint, and queries with them."""

CONNECTIONS = 16
CONNECT_SECONDS = 2.0

FAILURES = 3
REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 60.0
"""However long an endpoint asks to be left alone with Retry-After, it is tried again after this."""

TOOL_TIMES = 12
"""Nobody waits for a batch of tools, so it may take this many times as long as a query."""

QUERY_ATTEMPTS, TOOL_ATTEMPTS = 3, 5
SHORTEST_CUT = 256
"""A text that is refused is cut in half until it has fewer characters than this: about as many as any model takes."""

PLAIN_TEXT = "hello"
"""Whoever refuses this takes no text at all."""

LARGEST_ANSWER = 64 * 1024 * 1024

_BUSY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REFUSING_STATUSES = frozenset({400, 413, 422, 501})
_WHOLE_PATHS = ("/embeddings", "/embed", "/embedding")


class EndpointEmbedder:
    """An Embedder over HTTP; open_endpoint makes one."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        url: str,
        model: str,
        dimensions: int | None,
        api_key: Secret | None = None,
        batch_size: int = 64,
        timeout_seconds: float = 5.0,
    ) -> None:
        """Nothing is asked yet.

        Args:
            client: Where the connections are pooled; it stays the caller's.
            url: As EMBEDDING_ENDPOINT_URL.
            model: What the endpoint calls the model.
            dimensions: What the vectors must have; None takes what the first answer has.
            api_key: Sent as a bearer token, and taken out of whatever the endpoint says.
            batch_size: Texts in one request, as long as the endpoint refuses none of that size.
            timeout_seconds: Within which a query is embedded, tries and pauses included.
        """
        self._client = client
        self._url = complete_url(url)
        self._host = httpx.URL(self._url).host
        self._model = model
        self._dimensions = dimensions
        self._api_key = api_key
        self._batch_size = batch_size
        self._seconds: dict[Purpose, float] = {"query": timeout_seconds, "tool": timeout_seconds * TOOL_TIMES}
        self._breaker = Breaker(
            failures=FAILURES, rest_seconds=REST_SECONDS, counted=EmbeddingError, inconclusive=Refused
        )
        self._failure: str | None = None
        self._takes_lists = True
        self._asks_for_dimensions = False
        self._cut_texts = 0

    def __repr__(self) -> str:
        return f"EndpointEmbedder({self._model!r} at {self._host!r})"

    @property
    def name(self) -> str:
        """The model and its dimension: shortened vectors of the same model are other vectors."""
        return f"{self._model}@{self.dimensions}"

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        if self._dimensions is None:
            raise EmbeddingError(f"the dimension of {self._model!r} is not known before the endpoint has answered")
        return self._dimensions

    def expect(self, dimensions: int) -> None:
        """Take this dimension from now on; whatever else the endpoint gives is refused."""
        self._dimensions = dimensions

    @property
    def problem(self) -> str | None:
        """Why texts could not be embedded when they last should have been; None while that works."""
        return self.outage or self._failure

    @property
    def outage(self) -> str | None:
        """Why the endpoint is left alone for now; None while it is used."""
        return self._breaker.problem

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        """Embed texts, in order; see Embedder.embed.

        Raises:
            EmbeddingError: The endpoint failed in spite of all tries, is left alone for now, or gives what is no use.
        """
        if not texts:
            return numpy.empty((0, self.dimensions), numpy.float32)
        try:
            vectors = await self._embed_all(texts, purpose)
        except _TextRefused:
            self._failure = None  # it takes others
            raise
        except EmbeddingError as error:
            self._failure = error.message
            raise
        self._failure = None
        return vectors

    async def _embed_all(self, texts: Sequence[str], purpose: Purpose) -> "Vectors":
        parts: list[Vectors] = []
        waiting = [_clean(text) for text in texts]
        while waiting:
            size = self._batch_size  # what the endpoint refuses makes it smaller meanwhile
            some, waiting = waiting[: size * REQUESTS_AT_ONCE], waiting[size * REQUESTS_AT_ONCE :]
            batches = [some[start : start + size] for start in range(0, len(some), size)]
            parts += await _together(*(self._embed_batch(batch, purpose) for batch in batches))
        return numpy.concatenate(parts)

    async def _embed_batch(self, texts: list[str], purpose: Purpose) -> "Vectors":
        """In one request, or in as many as it takes: too many at once, or one too long, must not stop the others."""
        if len(texts) == 1:
            return await self._embed_one(texts[0], purpose)
        if len(texts) <= self._batch_size:
            with contextlib.suppress(Refused):
                return await self._ask(texts, purpose)
        half, cut_before = (len(texts) + 1) // 2, self._cut_texts
        halves = (await self._embed_batch(texts[:half], purpose), await self._embed_batch(texts[half:], purpose))
        if self._cut_texts == cut_before and half < self._batch_size:  # no text was too long, so they were too many
            self._batch_size = half
            logger.info("the embedding endpoint takes only so many texts at once", batch_size=half)
        return numpy.concatenate(halves)

    async def _embed_one(self, text: str, purpose: Purpose) -> "Vectors":
        """A text that is refused is sent in the other form that endpoints know, and then cut, as models would.

        Raises:
            EmbeddingError: It is refused however short it is: alone (_TextRefused), or as every other text would be.
        """
        kept = text
        while True:
            try:
                return await self._ask_one(kept, purpose)
            except Refused as refusal:
                if len(kept) <= SHORTEST_CUT:
                    await self._ask_one(PLAIN_TEXT, purpose)
                    raise _TextRefused(f"the embedding endpoint {self._host} refuses a text: {refusal}") from refusal
            kept = kept[: len(kept) // 2]
            self._cut_texts += 1

    async def _ask_one(self, text: str, purpose: Purpose) -> "Vectors":
        try:
            return await self._ask([text] if self._takes_lists else text, purpose)
        except Refused:
            if not self._takes_lists:
                raise
        vectors = await self._ask(text, purpose)
        self._takes_lists, self._batch_size = False, 1
        logger.info("the embedding endpoint takes no lists of texts: they are sent one by one")
        return vectors

    async def _ask(self, texts: list[str] | str, purpose: Purpose) -> "Vectors":
        """One request, repeated while that may help, all within the time for its purpose."""
        seconds, failing_before = self._seconds[purpose], self._breaker.problem
        try:
            with self._breaker.use() as is_probe:
                attempts = 1 if is_probe else QUERY_ATTEMPTS if purpose == "query" else TOOL_ATTEMPTS
                vectors = await self._ask_repeatedly(texts, attempts, seconds)
        except BreakerOpen as resting:
            raise EmbeddingError(f"the embedding endpoint is left alone for a moment after: {resting}") from resting
        except EmbeddingError:
            if self._breaker.problem and not failing_before:
                logger.warning("the embedding endpoint fails; it is tried now and then", reason=self._breaker.problem)
            raise
        if failing_before:
            logger.info("the embedding endpoint answers again", host=self._host)
        return vectors

    async def _ask_repeatedly(self, texts: list[str] | str, attempts: int, seconds: float) -> "Vectors":
        deadline = time.monotonic() + seconds

        def pause_after(error: Exception) -> bool | float:
            """Whether to try again, and after how many seconds if the endpoint said so."""
            if not isinstance(error, _Busy):
                return False
            if error.retry_after is None:
                return True
            # Everybody is told the same time: without jitter all would be back in the same moment.
            pause = error.retry_after + random.uniform(0, 0.25)  # noqa: S311
            return pause if time.monotonic() + pause < deadline else False

        try:
            async with asyncio.timeout(seconds):
                async for attempt in stamina.retry_context(
                    on=pause_after, attempts=attempts, timeout=None, wait_initial=0.1, wait_max=5, wait_jitter=0.2
                ):
                    with attempt:
                        return await self._request(texts)
        except Refused as refusal:
            if texts != PLAIN_TEXT:
                raise
            raise EmbeddingError(f"the embedding endpoint {self._host} refuses every text: {refusal}") from refusal
        except TimeoutError:
            raise EmbeddingError(f"the embedding endpoint {self._host} did not answer within {seconds:g} s") from None
        except _Busy as error:
            if error.retry_after is not None:
                self._breaker.rest(min(error.retry_after, LONGEST_REST_SECONDS), error.message)
            raise
        raise AssertionError("either an attempt succeeds or the last one raises")

    async def _request(self, texts: list[str] | str) -> "Vectors":
        """Ask for vectors of the right dimension where the model can be shortened, and for its own where it cannot.

        Its own come first: a server whose model has this dimension anyway may refuse to be asked for it. Whatever
        worked last is tried first, and the other way when that does no more.
        """
        asks = self._asks_for_dimensions
        try:
            return await self._post(texts, asks_for_dimensions=asks)
        except (Refused, _WrongDimension) as error:
            if isinstance(error, Refused) and not asks:
                raise
            mistake = error
        try:
            vectors = await self._post(texts, asks_for_dimensions=not asks)
        except Refused:
            raise mistake from None
        self._asks_for_dimensions = not asks
        return vectors

    async def _post(self, texts: list[str] | str, *, asks_for_dimensions: bool) -> "Vectors":
        wanted: dict[str, Any] = {"model": self._model, "input": texts}
        if asks_for_dimensions:
            wanted["dimensions"] = self._dimensions
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key.reveal()}"
        try:
            async with self._client.stream(
                "POST", self._url, content=msgspec.json.encode(wanted), headers=headers
            ) as response:
                body = await _read_body(response)
        except httpx.HTTPError as error:
            raise _Busy(f"the embedding endpoint {self._host} cannot be reached: {_name(error)}") from error
        if not response.is_success:
            raise self._complaint(response, body)
        return self._to_vectors(body, 1 if isinstance(texts, str) else len(texts))

    def _complaint(self, response: httpx.Response, body: bytes) -> Exception:
        message = f"the embedding endpoint {self._host} answered {response.status_code}: {self._excerpt(body)}"
        if response.status_code in _REFUSING_STATUSES:
            return Refused(message)
        if response.status_code in _BUSY_STATUSES:
            return _Busy(message, parse_retry_after(response.headers.get("retry-after")))
        return EmbeddingError(message)

    def _excerpt(self, body: bytes) -> str:
        """The beginning of what it said, on one line; some endpoints repeat the key that they do not like."""
        said = " ".join(body[:4096].decode(errors="replace").split())
        if self._api_key:
            said = said.replace(self._api_key.reveal(), "...")
        return said[:200] or "(nothing)"

    def _to_vectors(self, body: bytes, count: int) -> "Vectors":
        try:
            vectors = numpy.asarray(read_rows(msgspec.json.decode(body), count), numpy.float64)
        except Refused:
            raise
        except (msgspec.DecodeError, ValueError, TypeError, OverflowError):
            said = self._excerpt(body)
            raise _Busy(f"the embedding endpoint {self._host} answered something else than vectors: {said}") from None
        if vectors.ndim != 2:
            raise _Busy(f"the embedding endpoint {self._host} answered something else than one vector for each text")
        self._check_dimensions(vectors.shape[1])
        with numpy.errstate(over="ignore"):
            lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        if not (numpy.isfinite(lengths).all() and lengths.all()):
            raise _Busy(f"the embedding endpoint {self._host} answered a vector without a direction")
        directions: Vectors = (vectors / lengths).astype(numpy.float32)
        return directions

    def _check_dimensions(self, given: int) -> None:
        if self._dimensions is None:
            self._dimensions = given
        if given != self._dimensions:
            raise _WrongDimension(
                f"the embedding endpoint gives {given} dimensions for the model {self._model!r}, but "
                f"{self._dimensions} are expected: set EMBEDDING_DIMENSION={given}, or choose another EMBEDDING_MODEL"
            )


@contextlib.asynccontextmanager
async def open_endpoint(settings: Settings) -> AsyncIterator[EndpointEmbedder]:
    """The embedder of EMBEDDING_ENDPOINT_URL while the block runs; nothing is asked yet.

    Raises:
        SettingsError: A setting is missing, EMBEDDING_ENDPOINT_URL is no URL, or EMBEDDING_API_KEY cannot be sent.
    """
    url, model, api_key = settings.embedding_endpoint_url, settings.embedding_model, settings.embedding_api_key
    if url is None or model is None:
        raise SettingsError("EMBEDDING_MODEL is not set: name the model that EMBEDDING_ENDPOINT_URL is to embed with")
    try:
        _ = httpx.URL(complete_url(url)), urlsplit(url).port  # the client itself takes a port beyond 65535
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(f"EMBEDDING_ENDPOINT_URL cannot be used: {error}") from error
    # What cannot stand in a header would be shown, key and all, by the error of the client.
    if api_key and not (api_key.reveal().isascii() and api_key.reveal().isprintable()):
        raise SettingsError("EMBEDDING_API_KEY cannot be used: it holds characters that no HTTP header may have")
    # Once for the process, where the library's own way would log with the arguments of what it repeats.
    set_on_retry_hooks([_log_retry])
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS // 2)
    # The time for a whole answer is limited where it is asked; what hangs on the way there is noticed earlier.
    seconds = settings.embedding_timeout
    timeouts = httpx.Timeout(seconds * TOOL_TIMES, connect=min(CONNECT_SECONDS, seconds), pool=seconds)
    async with httpx.AsyncClient(limits=limits, timeout=timeouts) as client:
        yield EndpointEmbedder(
            client,
            url=url,
            model=model,
            dimensions=settings.embedding_dimension,
            api_key=api_key,
            batch_size=settings.embedding_batch_size,
            timeout_seconds=seconds,
        )


def complete_url(url: str) -> str:
    """Where to post: a URL that ends in /embeddings as it is, else the path that is missing is added.

    So `https://host`, `https://host/v1` and `https://host/v1/embeddings` are the same.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith(_WHOLE_PATHS):
        path = f"{path or '/v1'}/embeddings"
    return parts._replace(path=path).geturl()


class _Busy(EmbeddingError):
    """The endpoint failed in a way that may be over in a moment."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _TextRefused(EmbeddingError):
    """The endpoint refuses this text, and takes others."""


class _WrongDimension(EmbeddingError):
    """The vectors have another dimension than those in the database."""


async def _together(*asks: Any) -> "list[Vectors]":
    """Do all at the same time; the first failure ends the others."""
    tasks: list[asyncio.Task[Vectors]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask) for ask in asks]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _read_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise httpx.ReadError(f"the answer is larger than {LARGEST_ANSWER} bytes")
    return bytes(body)


def _name(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__} {error}".strip()


def _clean(text: str) -> str:
    """Half of a surrogate pair is no text and cannot be sent; an empty text is refused nearly everywhere."""
    return text.encode(errors="replace").decode() or " "


def _log_retry(details: RetryDetails) -> None:
    logger.info("trying again", in_seconds=round(details.wait_for, 2), reason=str(details.caused_by))
