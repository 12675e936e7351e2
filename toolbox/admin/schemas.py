"""The shapes of the operators' views on the wire."""

from typing import Annotated

from msgspec import Meta, Struct

from toolbox.calls.statistics import CallStatistics
from toolbox.definitions import Moment


class ToolCounts(Struct, frozen=True):
    """How many tools there are, and how many the embedding model has seen."""

    active: int
    inactive: int
    embedded: int
    by_source: dict[str, int]


class Stats(Struct, frozen=True):
    """The catalogue and its use in numbers."""

    tools: ToolCounts
    categories: int
    calls: CallStatistics
    embedding_model: str | None
    started_at: Moment
    version: str


class Accepted(Struct, frozen=True):
    """What was asked for is done in the background."""

    tools: Annotated[int, Meta(description="How many tools it is about.")]
