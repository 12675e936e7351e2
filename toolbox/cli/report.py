"""The start-up report: what was loaded, what failed, where the data lies, and the URLs."""

import time
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from toolbox.cli.output import count
from toolbox.settings import Settings
from toolbox.version import REPORT_AGENT

PATIENCE_SECONDS = 600
POLL_SECONDS = 0.05


def print_report(url: str, settings: Settings) -> None:
    """Wait until the server is ready, ask it what there is, and print that on standard error.

    The report is asked for over HTTP, so it is true for any number of workers, and proof that the server answers.
    """
    headers = {"User-Agent": REPORT_AGENT}
    with httpx.Client(base_url=url, timeout=10, trust_env=False, headers=headers) as client:
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE_SECONDS:
            try:
                health = client.get("/health/detailed")
                if health.is_success:
                    lines = _describe(url, settings, health.json(), *(client.get(path).json() for path in _SOURCES))
                    Console(stderr=True, highlight=False).print(Text("\n".join(lines)))
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass  # it is still starting; what goes wrong there is said by the server itself
            time.sleep(POLL_SECONDS)


_SOURCES = ("/stats", "/admin/plugins")


def _describe(
    url: str, settings: Settings, health: dict[str, Any], stats: dict[str, Any], plugins: list[dict[str, Any]]
) -> list[str]:
    tools = stats["tools"]
    return [
        "",
        f"ToolBox {stats['version']} is {'ready' if health['status'] == 'ok' else 'ready, but ' + health['status']}",
        "",
        f"  MCP      {url}/mcp",
        f"  REST     {url}/docs",
        f"  Health   {url}/health/detailed",
        "",
        f"  Tools    {tools['active']} active, {tools['embedded']} embedded"
        + (f" by {stats['embedding_model']}" if stats["embedding_model"] else ": found by words alone"),
        *(f"  Plugin   {_describe_plugin(plugin)}" for plugin in plugins),
        *(f"  Problem  {name}: {check['detail']}" for name, check in _problems(health)),
        *(
            f"  Problem  {plugin['name']}, {problem['where']}: {problem['message']}"
            for plugin in plugins
            for problem in plugin["problems"]
        ),
        f"  Data     {_describe_data(settings)}",
        *(["  Access   open to everybody on this machine: no keys are needed"] if settings.is_loopback else []),
        "",
    ]


def _describe_plugin(plugin: dict[str, Any]) -> str:
    offers = [count(len(plugin["tools"]), "tool")] if plugin["tools"] else []
    offers += [f"model {name}" for name in plugin["embedders"]]
    if plugin["state"] != "loaded" or not offers:
        offers.append(plugin["state"])
    return f"{plugin['name']} {plugin['version']}".strip() + f": {', '.join(offers)}"


def _problems(health: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, check)
        for name, check in health["checks"].items()
        if check["status"] in {"degraded", "down"} and name != "plugins"
    ]


def _describe_data(settings: Settings) -> str:
    if settings.data_dir is not None:
        return f"{settings.data_dir} (embedded PostgreSQL)"
    return "the PostgreSQL that DATABASE_URL names"
