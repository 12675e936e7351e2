"""The shapes of find on the wire."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from toolbox.auth.callers import Caller
from toolbox.errors import InvalidRequest
from toolbox.search.explanation import Explanation
from toolbox.search.service import SearchQuery, ToolMatch
from toolbox.settings import Settings
from toolbox.tools.registry import Registry
from toolbox.tools.repository import ToolFilter
from toolbox.tools.schemas import Offset, ShortText, Source, Tags, shown_metadata
from toolbox.toolsets.service import toolset_not_found

QueryText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="What the tool should do, in any words.",
        examples=["convert miles to kilometres"],
        extra_json_schema={"pattern": r"\S"},  # said here, and checked in to_query, in words of our own
    ),
]
MAX_FOUND = 200
"""Matches that there are of one query, however many tools fit: hardly more candidates are looked at."""
MatchLimit = Annotated[int, Meta(ge=1, le=50)]
ToolsetName = Annotated[str, Meta(max_length=64)]
Share = Annotated[float, Meta(ge=0, le=1)]


class FindRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to find; what is not given is as the operator has set it."""

    query: QueryText
    limit: MatchLimit | UnsetType = UNSET
    offset: Annotated[
        Offset, Meta(description=f"How many matches to leave out, for the next page; there are {MAX_FOUND} at most.")
    ] = 0
    threshold: Annotated[Share | None, Meta(description="Drop matches whose similarity is lower.")] | UnsetType = UNSET
    category: ShortText | None = None
    tags: Tags = []
    source: Source | None = None
    toolset: Annotated[ToolsetName | None, Meta(description="Only tools of this toolset.")] = None
    metadata: Annotated[dict[str, Any], Meta(description="Contained in the tool's metadata.")] | UnsetType = UNSET
    use_hybrid: bool | UnsetType = UNSET
    vector_weight: Annotated[Share, Meta(description="Share of meaning against words.")] | UnsetType = UNSET
    detail: Annotated[Literal["schema", "summary"], Meta(description="Whether matches carry their input schema.")] = (
        "schema"
    )
    explain: Annotated[bool, Meta(description="Say of each match what every stage of the search adds.")] = False

    def to_query(self, settings: Settings, caller: Caller) -> SearchQuery:
        """The request with the operator's defaults filled in; every way to search comes through here.

        Raises:
            InvalidRequest: Nothing is asked for, or the query is no text.
            NotFound: The caller may not see the toolset. Whether there is one is asked when nothing is found.
        """
        if not self.query.strip():
            raise InvalidRequest("query: it is blank; say in a few words what the tool should do")
        if "\0" in self.query:
            raise InvalidRequest("query: it holds the character NUL (U+0000), which no text does")
        if self.toolset is not None and not caller.sees_toolset(self.toolset):
            raise toolset_not_found(self.toolset)
        return SearchQuery(
            self.query,
            max(0, min(settings.default_search_limit if self.limit is UNSET else self.limit, MAX_FOUND - self.offset)),
            settings.default_similarity_threshold if self.threshold is UNSET else self.threshold,
            ToolFilter(
                category=self.category,
                tags=tuple(self.tags),
                source=self.source,
                metadata=self.metadata,
                within=caller.within if self.toolset is None else (self.toolset,),
            ),
            settings.use_hybrid_search if self.use_hybrid is UNSET else self.use_hybrid,
            settings.vector_weight if self.vector_weight is UNSET else self.vector_weight,
            self.explain,
            self.offset,
            caller.learner if settings.learn_from_use else None,
        )


class Match(Struct, frozen=True, kw_only=True):
    """A tool that was found."""

    name: str
    title: str | None
    description: str
    category: str | None
    tags: list[str]
    version: str
    similarity: Annotated[
        Share,
        Meta(
            description="How sure find is, on one scale for every model and catalogue; 1 only when the query spells "
            "the name. Of `/tools/{name}/similar` the bare cosine of the two tools' vectors, on the scale of the model."
        ),
    ]
    runnable: Annotated[bool, Meta(description="False when nothing here can run it.")]
    metadata: dict[str, Any]
    input_schema: dict[str, Any] | UnsetType = UNSET
    degraded: (
        Annotated[bool, Meta(description="True when the embedding model failed: words alone were searched.")]
        | UnsetType
    ) = UNSET
    explanation: (
        Annotated[Explanation, Meta(description="With `explain`: what every stage of the search adds.")] | UnsetType
    ) = UNSET


_COPIED = ("name", "title", "description", "category", "tags", "version")


def to_match(match: ToolMatch, detail: Literal["schema", "summary"], registry: Registry) -> dict[str, Any]:
    """A Match whose JSON fields are spliced in as they are stored."""
    shown: dict[str, Any] = {name: getattr(match.tool, name) for name in _COPIED}
    shown["similarity"] = match.similarity
    shown["runnable"] = registry.can_run(match.tool.name, match.tool.kind)
    shown["metadata"] = shown_metadata(match.tool)
    if detail == "schema":
        shown["input_schema"] = match.tool.input_schema
    if match.explanation:
        shown["explanation"] = match.explanation
    return shown
