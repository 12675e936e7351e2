"""Commands that use the catalogue: find, call, tools, plugins."""

import sys
from typing import Any

import click
import msgspec

from toolbox.cli.backend import Backend, run
from toolbox.cli.output import json_option, print_json, print_table, url_option
from toolbox.errors import InvalidRequest


@click.command()
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 50), help="Most matches to show.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Drop matches below this similarity.")
@click.option("--category", help="Only tools of this category.")
@click.option("--tag", "tags", multiple=True, help="Only tools with this tag; may be repeated.")
@url_option
@json_option
def find(query: str, tags: tuple[str, ...], url: str | None, as_json: bool, **wanted: Any) -> None:
    """Find tools by what they do.

    For example: toolbox find "turn a table into JSON"
    """
    request = {"query": query, "tags": list(tags)} | {key: value for key, value in wanted.items() if value is not None}
    matches = run(url, "find", lambda backend: backend.find(_checked(request, "query")))
    if as_json:
        print_json(matches)
    elif matches:
        rows = [(f"{match['similarity']:.2f}", match["name"], match["description"]) for match in matches]
        print_table(["similarity", "tool", "what it does"], rows)
    else:
        click.echo("nothing found")


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(0, min_open=True), help="Seconds it may take.")
@url_option
@json_option
def call(name: str, arguments: tuple[str, ...], timeout_seconds: float | None, url: str | None, as_json: bool) -> None:
    """Call a tool.

    ARGUMENTS are either name=value pairs, read as the tool's schema says, or one JSON object.
    For example: toolbox call text_reverse text=hello
    """

    async def work(backend: Backend) -> dict[str, Any]:
        schema = (await backend.get_tool(name))["input_schema"]
        request = {"tool_name": name, "arguments": read_arguments(arguments, schema)}
        return await backend.call(request | ({"timeout_seconds": timeout_seconds} if timeout_seconds else {}))

    answer = run(url, "call", work)
    if as_json:
        print_json(answer)
    elif answer["success"]:
        result = answer["result"]
        click.echo(result) if isinstance(result, str) else print_json(result)
    else:
        click.echo(f"Error: {answer['error']['message']} ({answer['error']['code']})", err=True)
    if not answer["success"]:
        sys.exit(1)


@click.group()
def tools() -> None:
    """List tools, or look at one."""


@tools.command("list")
@click.option("--category", help="Only tools of this category.")
@click.option("--tag", "tags", multiple=True, help="Only tools with this tag; may be repeated.")
@click.option("--source", help="Only tools from there, for example plugin:text.")
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
    print_table(["tool", "category", "source", "what it does"], rows, caption=f"{len(page)} of {total} tools")


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
        (name, "required" if name in required else "", _type_of(schema), schema.get("description", ""))
        for name, schema in properties.items()
    ]
    print_table(["argument", "", "type", "what it is"], rows)


@click.command()
@url_option
@json_option
def plugins(url: str | None, as_json: bool) -> None:
    """The installed plugins, what each offers, and what is wrong with it."""
    found = run(url, "plugins", lambda backend: backend.list_plugins())
    if as_json:
        print_json(found)
        return
    rows = [(p["name"], p["version"], p["state"], len(p["tools"]), ", ".join(p["embedders"])) for p in found]
    print_table(["plugin", "version", "state", "tools", "models"], rows)
    for plugin in found:
        for problem in plugin["problems"]:
            click.echo(f"{plugin['name']}: {problem['where']}: {problem['message']}", err=True)


def read_arguments(given: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    """name=value pairs, or one JSON object, as the arguments of a tool.

    Raises:
        InvalidRequest: A part is neither.
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


def _checked(request: dict[str, Any], what: str) -> dict[str, Any]:
    if not request[what].strip():
        raise InvalidRequest(f"the {what} is empty")
    return request


def _type_of(schema: Any) -> str:
    if not isinstance(schema, dict):
        return ""
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    declared = schema.get("type", "")
    return declared if isinstance(declared, str) else " | ".join(declared)
