"""Commands that use the catalogue: find, call, tools, plugins."""

import asyncio
import shlex
import sys
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

import click
import msgspec

from toolbox.cli import managing
from toolbox.cli.backend import Backend, Result, list_plugins, local_settings, open_local, run
from toolbox.cli.output import count, json_option, print_json, print_table, url_option
from toolbox.errors import InvalidRequest, NotFound
from toolbox.plain_words import not_json
from toolbox.settings import Settings


@click.command()
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 50), help="Most matches to show.")
@click.option("--offset", type=click.IntRange(0), help="Leave out so many matches, for the next page.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Drop matches below this similarity.")
@click.option("--category", help="Only tools of this category.")
@click.option("--tag", "tags", multiple=True, help="Only tools with this tag; may be repeated.")
@click.option("--source", help="Only tools from there: plugin:text, or text alone.")
@click.option("--toolset", help="Only tools of this toolset.")
@click.option("--metadata", metavar="JSON", help="Only tools whose metadata contain this object.")
@click.option("--vector-weight", type=click.FloatRange(0, 1), help="Share of meaning against words.")
@click.option("--explain", is_flag=True, help="Show what each stage of the search adds.")
@url_option
@json_option
def find(
    query: str,
    tags: tuple[str, ...],
    metadata: str | None,
    explain: bool,
    url: str | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Find tools by what they do.

    For example: toolbox find "turn a table into JSON"
    """
    request = {"query": query, "tags": list(tags)} | {key: value for key, value in wanted.items() if value is not None}
    if metadata is not None:
        request["metadata"] = _decode(metadata, "metadata")
    if explain:
        request["explain"] = True
    matches = run(url, "find", lambda backend: backend.find(_checked(request, "query")))
    if as_json:
        print_json(matches)
    elif matches and explain:
        _print_explanations(matches)
    elif matches:
        rows = [(f"{match['similarity']:.2f}", match["name"], match["description"]) for match in matches]
        print_table(["similarity", "tool", "what it does"], rows, whole=1)
    else:
        click.echo("nothing found")


def _print_explanations(matches: list[dict[str, Any]]) -> None:
    """Per stage what it adds to a tool's score, and the rank that it alone would give."""
    searched = matches[0]["explanation"]["searched"]
    click.echo(f"words: {' '.join(searched['words'])}")
    if searched["corrected"]:
        click.echo(f"corrected: {searched['corrected']}")
    for clause in searched["clauses"]:
        click.echo(f"clause: {clause}")
    stages = [stage for stage in _STAGES if stage in matches[0]["explanation"]]
    rows = []
    for match in matches:
        why = match["explanation"]
        shown = [_show_stage(why[stage]) for stage in stages]
        matched = ", ".join(f"{word} {score:.1f}" for word, score in why["matched_words"].items())
        rows.append((f"{match['similarity']:.2f}", match["name"], f"{why['score']:.2f}", why["name"], *shown, matched))
    labels = [stage.replace("_", " ") for stage in stages]
    print_table(["similarity", "tool", "score", "name", *labels, "matched words"], rows, whole=1)


def _show_stage(stage: dict[str, Any]) -> str:
    return f"{stage['adds']:+.2f} (#{stage['rank']})" if stage["rank"] else ""


_STAGES = ("meaning", "words", "clause_meaning", "clause_words", "use")


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(0, min_open=True), help="Seconds it may take.")
@click.option("--toolset", help="Call it through this toolset, with its limits and its own secrets.")
@click.option("--max-tokens", type=click.IntRange(100, 1_000_000), help="Show only the first part of a longer result.")
@click.option("--yes", is_flag=True, help="Let it destroy something, where its toolset wants that said.")
@url_option
@json_option
def call(name: str, arguments: tuple[str, ...], yes: bool, url: str | None, as_json: bool, **wanted: Any) -> None:
    """Call a tool.

    ARGUMENTS are either name=value pairs, read as the tool's schema says, or one JSON object.
    For example: toolbox call text_reverse text=hello
    """

    async def work(backend: Backend) -> dict[str, Any]:
        try:
            schema = (await backend.get_tool(name))["input_schema"]
        except NotFound:
            if wanted["toolset"] is None:
                raise
            schema = {}  # the call says so itself, with near names of the toolset alone
        request: dict[str, Any] = {"tool_name": name, "arguments": read_arguments(arguments, schema)}
        if yes:
            request["consent"] = True
        return await backend.call(request | {key: value for key, value in wanted.items() if value is not None})

    answer = run(url, "call", work)
    if as_json:
        print_json(answer)
    elif answer["success"]:
        result = answer["result"]
        text = _read_text(result)
        print_json(result) if text is None else click.echo(text)
        if more := answer.get("more"):
            _say_more(more["path"], f"{more['shown']} of {count(more['total'], more['unit'].removesuffix('s'))} shown")
    else:
        click.echo(f"Error: {answer['error']['message']} ({answer['error']['code']})", err=True)
    if not answer["success"]:
        sys.exit(1)


def _read_text(result: Any) -> str | None:
    """What there is to read, if a result is text or content that is nothing but text; as programs print it."""
    if isinstance(result, str):
        return result
    if not isinstance(result, list) or not result:
        return None
    if not all(isinstance(part, dict) and part.keys() == {"type", "text"} for part in result):
        return None
    return "\n".join(part["text"].removesuffix("\n") for part in result)


@click.command()
@click.argument("call_id", metavar="ID")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Skip so many items.")
@click.option("--limit", type=click.IntRange(1), help="Most items to show.")
@click.option("--at", metavar="POINTER", default="", help="Only this part of the result, as a JSON Pointer.")
@url_option
@json_option
def result(call_id: str, offset: int, limit: int | None, at: str, url: str | None, as_json: bool) -> None:
    """Read the result of an earlier call, by its execution id.

    For example: toolbox result 0f8fad5b-d9cb-469f-a165-70867728950e --offset 20
    """
    given = {"at": at, "offset": offset, "limit": limit}
    wanted = {key: value for key, value in given.items() if value}
    page = run(url, "result", lambda backend: backend.read_result(call_id, wanted))
    if offset and offset >= page.total:
        raise InvalidRequest(f"the offset {offset} is behind the end: there {_are_in_all(page)}")
    if isinstance(page.value, str) and not as_json:
        click.echo(page.value)
    else:
        print_json(page.value)
    if page.next:
        _say_more(page.next, f"there {_are_in_all(page)}")


def _are_in_all(page: Result) -> str:
    """How much there is, of what its pages are cut into (a part that is read alone may be of another kind)."""
    noun = "character" if isinstance(page.value, str) else "member" if isinstance(page.value, dict) else "item"
    return f"{'is' if page.total == 1 else 'are'} {page.total:,} {noun}{'' if page.total == 1 else 's'} in all"


@click.group()
def tools() -> None:
    """List tools, look at one, and manage them."""


for command in managing.OF_TOOLS:
    tools.add_command(command)


@tools.command("list")
@click.option("--category", help="Only tools of this category.")
@click.option("--tag", "tags", multiple=True, help="Only tools with this tag; may be repeated.")
@click.option("--source", help="Only tools from there: plugin:text, or text alone.")
@click.option("--all", "show_all", is_flag=True, help="Inactive tools too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@url_option
@json_option
def list_tools(
    tags: tuple[str, ...], show_all: bool, limit: int, offset: int, url: str | None, as_json: bool, **wanted: Any
) -> None:
    """List tools in the order of their names."""
    request = {"tags": list(tags), "active_only": not show_all, "limit": limit, "offset": offset}
    request |= {key: value for key, value in wanted.items() if value is not None}
    page, total = run(url, "tools", lambda backend: backend.list_tools(request))
    if as_json:
        print_json(page)
        return
    rows = [(tool["name"], tool["category"], tool["source"], tool["description"]) for tool in page]
    shown = f"{len(page)} of {count(total, 'tool')}"
    if page and (end := offset + len(page)) < total:
        shown += f"; more with --offset {end}"
    print_table(["tool", "category", "source", "what it does"], rows, caption=shown)


@tools.command("get")
@click.argument("name")
@url_option
@json_option
def get_tool(name: str, url: str | None, as_json: bool) -> None:
    """Everything about one tool."""
    tool = run(url, "tools", lambda backend: backend.get_tool(name))
    if as_json:
        print_json(tool)
        return
    click.echo(f"{tool['name']} {tool['version']} ({tool['source']})\n{tool['description']}\n")
    properties = tool["input_schema"].get("properties", {})
    required = tool["input_schema"].get("required", [])
    rows = [
        (name, "required" if name in required else "", _type_of(schema), _text_of(schema))
        for name, schema in properties.items()
    ]
    print_table(["argument", "", "type", "what it is"], rows, caption=None if rows else "it takes no arguments")


@tools.command("duplicates")
@click.option("--least", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="How alike they must be.")
@json_option
def duplicates(least: float, as_json: bool) -> None:
    """Tools that are there twice, or nearly so, in this machine's catalogue."""
    with local_settings("tools") as settings:
        pairs = asyncio.run(_find_duplicates(settings, least))
    if as_json:
        print_json(pairs)
        return
    rows = [(f"{pair.likeness:.2f}", pair.name, pair.source, pair.other_name, pair.other_source) for pair in pairs]
    print_table(
        ["likeness", "tool", "source", "other tool", "source"], rows, caption=count(len(pairs), "pair"), whole=1
    )


async def _find_duplicates(settings: Settings, least: float) -> list[Any]:
    from toolbox.cli.catalogue import show_progress  # loads what no other command here needs

    async with open_local(settings) as local:
        with show_progress() as progress:
            task = progress.add_task("comparing", total=None)
            found: list[Any] = await local.services.search.find_duplicates(
                least, lambda done, total: progress.update(task, completed=done, total=total)
            )
            return found


@click.command()
@url_option
@json_option
def plugins(url: str | None, as_json: bool) -> None:
    """The plugins that are installed here, what each offers, and what is wrong with it.

    Exits with 1 when a plugin failed, wholly or partly.
    """
    found = list_plugins(url)
    if as_json:
        print_json(found)
    else:
        offered = ("tools", "resources", "prompts", "skills")
        rows = [
            (
                plugin["name"],
                plugin["version"],
                plugin["state"],
                *(len(plugin.get(kind, ())) for kind in offered),
                ", ".join(plugin["embedders"]),
            )
            for plugin in found
        ]
        print_table(["plugin", "version", "state", *offered, "models"], rows, caption=None if rows else "no plugins")
        for plugin in found:
            for problem in plugin["problems"]:
                click.echo(f"{plugin['name']}: {problem['where']}: {problem['message']}", err=True)
    if any(plugin["state"] in {"failed", "partly"} for plugin in found):
        sys.exit(1)


def read_arguments(given: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    """name=value pairs, or one JSON object, as the arguments of a tool.

    Raises:
        InvalidRequest: A part is neither, or a name is given twice.
    """
    if len(given) == 1 and given[0].lstrip().startswith("{"):
        try:
            return msgspec.json.decode(given[0], type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"the arguments are not a JSON object: {error}") from error
    pairs = [part.partition("=") for part in given]
    for name, separator, _ in pairs:
        if not separator or not name:
            raise InvalidRequest(f"{name!r} is no argument: write name=value, or one JSON object")
    repeated = [name for name, times in Counter(name for name, _, _ in pairs).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"{repeated[0]!r} is given more than once: give it one value, a list as JSON")
    properties = schema.get("properties", {})
    return {name: _read_value(text, properties.get(name)) for name, _, text in pairs}


def _read_value(text: str, schema: Any) -> Any:
    """Text where the schema wants text; else JSON where it is JSON."""
    if isinstance(schema, dict) and schema.get("type") == "string":
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _say_more(path: str, what: str) -> None:
    """How to go on, beside the result and not in it."""
    call_id, _, query = path.removeprefix("/calls/").replace("/result", "").partition("?")
    options = " ".join(f"--{name} {shlex.quote(value)}" for name, value in parse_qsl(query))
    click.echo(f"{what}; more with: toolbox result {call_id} {options}".rstrip(), err=True)


def _decode(text: str, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{what}: {not_json(str(error))}") from error


def _checked(request: dict[str, Any], what: str) -> dict[str, Any]:
    if not request[what].strip():
        raise InvalidRequest(f"the {what} is empty")
    return request


def _text_of(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, dict) else ""


def _type_of(schema: Any) -> str:
    if not isinstance(schema, dict):
        return ""
    if "enum" in schema:
        return " | ".join(map(_show_choice, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(filter(None, map(_type_of, schema["anyOf"])))
    declared = schema.get("type", "")
    return declared if isinstance(declared, str) else " | ".join(declared)


def _show_choice(value: Any) -> str:
    """A word as it is; what could be taken for something else, such as a comma or a tab, as JSON writes it."""
    return value if isinstance(value, str) and value.isidentifier() else msgspec.json.encode(value).decode()
