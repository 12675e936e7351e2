"""The start-up report: what was loaded, what failed, where the data lies, and the URLs."""

import os
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import click
from msgspec import Struct

from toolbox.cli.imports import httpx
from toolbox.cli.output import count
from toolbox.settings import Secret, Settings
from toolbox.version import REPORT_AGENT

PATIENCE_SECONDS = 600
_REPORT_KEY = "TOOLBOX_REPORT_KEY"
POLL_SECONDS = 0.05
_ANSWER_SECONDS = 10
_BUSY_AT_THE_START = frozenset({"cpu"})
"""What of the machine a start uses up itself, and is no problem then."""


class _Answers(Struct, frozen=True):
    """What the server said of itself."""

    health: dict[str, Any]
    stats: dict[str, Any]
    plugins: list[dict[str, Any]]
    missing_pins: list[str]
    """What it says of each of PINNED_TOOLS that is not there."""


def print_report(url: str, settings: Settings) -> None:
    """Wait until the server is ready, ask it what there is, and print that on standard error.

    The report is asked for over HTTP, so it is true for any number of workers, and proof that the server answers.
    """
    answers = _ask(url, settings, lambda: True)
    if answers:
        print_lines(_describe(url, settings, answers))


def describe_reload(url: str, settings: Settings, is_alive: Callable[[], bool]) -> list[str]:
    """What there is after the server has been started again, when it is ready or has ended."""
    answers = _ask(url, settings, is_alive)
    if answers is None:
        return ["not reloaded: the server did not start; it is tried again with the next change"]
    problems = _describe_problems(answers)
    wrong = f", {count(len(problems), 'problem')}" if problems else ""
    tools = count(answers.stats["tools"]["active"], "tool")
    return [f"reloaded: {tools}, {count(len(answers.plugins), 'plugin')}{wrong}", *problems]


def print_lines(lines: list[str]) -> None:
    """On standard error, as they are: the terminal breaks long ones where it wants."""
    click.echo("\n".join(lines), err=True)


def _ask(url: str, settings: Settings, is_alive: Callable[[], bool]) -> _Answers | None:
    """What the server says, when it is ready; None if it never is."""
    with httpx.Client(
        base_url=url,
        timeout=_ANSWER_SECONDS,
        trust_env=False,
        verify=False,  # it is this process itself, and its certificate has the name that others use
        headers=_headers(),
    ) as client:
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE_SECONDS and is_alive():
            try:
                health = client.get("/health/detailed")
                if health.is_success:
                    stats, plugins = client.get("/stats").json(), client.get("/admin/plugins").json()
                    return _Answers(health.json(), stats, plugins, _find_missing_pins(client, settings))
            except (httpx.HTTPError, ValueError, KeyError):
                pass  # it is still starting; what goes wrong there is said by the server itself
            time.sleep(POLL_SECONDS)
    return None


def make_report_key() -> None:
    """Let the report ask a server that asks for keys: the processes of one server share this one in their environment.

    It is made anew with each start, and good for reading only.
    """
    os.environ[_REPORT_KEY] = secrets.token_urlsafe(32)


def read_report_key() -> Secret | None:
    """The key of the report, if this process is part of a server that makes one."""
    key = os.environ.get(_REPORT_KEY)
    return Secret(key) if key else None


def _headers() -> dict[str, str]:
    key = read_report_key()
    return {"User-Agent": REPORT_AGENT} | ({"X-API-Key": key.reveal()} if key else {})


def _find_missing_pins(client: httpx.Client, settings: Settings) -> list[str]:
    answers = [client.get(f"/tools/{quote(name, safe='')}") for name in settings.pinned_tools]
    return [str(answer.json()["detail"]) for answer in answers if answer.status_code == HTTPStatus.NOT_FOUND]


def _describe(url: str, settings: Settings, answers: _Answers) -> list[str]:
    health, stats, state = answers.health, answers.stats, _judge(answers.health)
    tools = stats["tools"]
    return [
        "",
        f"ToolBox {stats['version']} is {'ready' if state == 'ok' else 'ready, but ' + state}",
        "",
        f"  MCP      {url}/mcp",
        f"  REST     {url}/docs",
        f"  Health   {url}/health/detailed",
        "",
        f"  Tools    {tools['active']} active, {tools['embedded']} embedded"
        + (f" by {stats['embedding_model']}" if stats["embedding_model"] else ": found by words alone"),
        *(f"  Plugin   {_describe_plugin(plugin)}" for plugin in answers.plugins),
        *_describe_problems(answers),
        f"  Data     {_describe_data(settings)}",
        f"  Access   {health['checks']['access']['detail']}",
        "",
    ]


def _judge(health: dict[str, Any]) -> str:
    """The worst of what the checks say, but for what the start itself keeps busy."""
    said = {check["status"] for name, check in health["checks"].items() if name not in _BUSY_AT_THE_START}
    return next((state for state in ("down", "degraded") if state in said), "ok")


def _describe_plugin(plugin: dict[str, Any]) -> str:
    kinds = ("tools", "resources", "prompts", "skills")
    offers = [count(len(plugin[kind]), kind[:-1]) for kind in kinds if plugin[kind]]
    offers += [f"model {name}" for name in plugin["embedders"]]
    if plugin["state"] != "loaded" or not offers:
        offers.append(plugin["state"])
    return f"{plugin['name']} {plugin['version']}".strip() + f": {', '.join(offers)}"


def _describe_problems(answers: _Answers) -> list[str]:
    """One line each: what health says, what is pinned and not there, and what each plugin's problems are."""
    return [
        *(
            f"  Problem  {name}: {check['detail']}"
            for name, check in answers.health["checks"].items()
            if check["status"] in {"degraded", "down"} and name not in {"plugins", *_BUSY_AT_THE_START}
        ),
        *(f"  Problem  PINNED_TOOLS: {said}" for said in answers.missing_pins),
        *(
            f"  Problem  {plugin['name']}, {problem['where']}: {problem['message']}"
            for plugin in answers.plugins
            for problem in plugin["problems"]
        ),
    ]


def _describe_data(settings: Settings) -> str:
    if settings.data_dir is not None:
        return f"{settings.data_dir} (embedded PostgreSQL)"
    return "the PostgreSQL that DATABASE_URL names"
