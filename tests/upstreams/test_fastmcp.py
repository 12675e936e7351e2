"""A server that was written with FastMCP, over stdio and streamable HTTP."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from tests.upstreams.test_supervisor import Asked, as_it_is, make_context
from toolbox.definitions import Upstream
from toolbox.upstreams.discovery import read_offer
from toolbox.upstreams.supervisor import Supervisor
from toolbox.upstreams.tool import to_result

VERSION = "4.2.3"
SERVER = str(Path(__file__).with_name("fastmcp_server.py"))
INSTALL_SECONDS = 240


@pytest.fixture(scope="session")
def fastmcp_python() -> str:
    """A Python with FastMCP, whose own dependencies need not be ToolBox's; made once for this user."""
    name = f"fastmcp-{VERSION}-python{sys.version_info[0]}.{sys.version_info[1]}"
    folder = platformdirs.user_cache_path("toolbox-tests") / name
    if not (folder / "installed").exists():
        uv = shutil.which("uv")
        assert uv, "uv is missing: pip install uv"
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        python = str(folder / "bin" / "python")
        for command in (
            [uv, "venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--no-config", "--python", python, f"fastmcp=={VERSION}"],
        ):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
            )
            assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        (folder / "installed").touch()  # an installation that is killed leaves a folder that looks complete
    return str(folder / "bin" / "python")


@contextlib.asynccontextmanager
async def configured(transport: str, python: str) -> AsyncIterator[Upstream]:
    if transport == "stdio":
        yield Upstream(name="fast", command=python, args=(SERVER, "stdio"), session="serial")
        return
    process = await asyncio.create_subprocess_exec(
        python, SERVER, "http", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield Upstream(name="fast", transport="http", url=f"http://127.0.0.1:{port}/mcp")
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_tools_of_fastmcp_are_listed_and_called(transport: str, fastmcp_python: str) -> None:
    supervisor = Supervisor(resolve=as_it_is)
    async with configured(transport, fastmcp_python) as upstream, supervisor.running():
        supervisor.configure({"fast": upstream})
        supervised = supervisor.get("fast")

        async def call(name: str, client: Any = None, **arguments: Any) -> dict[str, Any]:
            context = make_context(client) if client else make_context()
            return await supervised.request("tools/call", {"name": name, "arguments": arguments}, context)

        session = await supervised.session()
        assert session.info is not None
        assert (session.info.name, session.info.instructions) == ("fastmcp", "For tests.")
        offer = read_offer(upstream, await session.list_all("tools/list", "tools"), taken=(), known={})
        assert (offer.left_out, list(offer.implementations)) == ((), ["fast__weather", "fast__count"])
        weather = offer.definitions[0]
        assert (weather.description, weather.annotations.read_only_hint) == ("What the weather is.", True)
        assert weather.input_schema["required"] == ["city"]
        assert weather.output_schema is not None
        assert weather.output_schema["properties"].keys() == {"city", "celsius"}
        result = to_result(await call("weather", city="Oslo"), "fast")
        assert (result.structured, result.is_error) == ({"city": "Oslo", "celsius": 21.5}, False)
        failed = to_result(await call("weather", city="Atlantis"), "fast")
        assert failed.is_error
        assert "there is no Atlantis" in failed.content[0].text  # type: ignore[union-attr]
        listener = Asked()
        assert (await call("count", listener, to=3))["content"][0]["text"] == "counted to 3"
        assert listener.heard([1.0, 2.0, 3.0])
