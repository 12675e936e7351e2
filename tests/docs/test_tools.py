"""What docs/tools.md shows works as it is shown."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from toolbox.auth.callers import LOCAL
from toolbox.calls.service import CallRequest
from toolbox.definitions import ToolDefinition
from toolbox.services import Services, open_services
from toolbox.settings import Settings
from toolbox.tools.repository import write_tools

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tools.md").read_text()
SHOWN = {example["kind"]: example for example in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))}
OPEN = {"type": "object", "additionalProperties": True}


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with open_services(structs.replace(settings, python_executor_allowed_modules=("statistics",))) as opened:
        yield opened


async def test_every_kind_is_shown_with_an_example_that_works(services: Services) -> None:
    assert sorted(SHOWN) == [kind for kind in services.kinds.names if kind not in {"merged", "upstream"}]
    for kind, implementation in SHOWN.items():
        services.kinds.check_implementation(ToolDefinition(name=kind, input_schema=OPEN), implementation)
    SHOWN["command"].pop("environment")  # its secret is not set here
    async with services.database.transaction() as connection:
        definitions = [ToolDefinition(name=kind, input_schema=OPEN) for kind in SHOWN]
        await write_tools(connection, definitions, source="docs", source_version="", implementations=SHOWN)
    assert await call(services, "command", text="stressed") == "desserts\n"
    assert await call(services, "python", data=[3, 1, 2]) == 2
    assert await call(services, "composed", text="two words") == {"words": 2, "reversed": "sdrow owt"}


async def call(services: Services, name: str, /, **arguments: Any) -> Any:
    done = await services.calls.call_tool(
        CallRequest(tool_name=name, arguments=arguments, caller=LOCAL, channel="rest")
    )
    assert done.success, done.outcome.error_message
    return done.value[0]["text"] if name == "command" else done.value
