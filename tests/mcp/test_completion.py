"""Completion of arguments, in both eras."""

import itertools
from collections.abc import Callable, Iterator
from enum import Enum
from types import ModuleType
from typing import Any, Literal

import pytest

import toolbox
from tests.mcp.conftest import Client
from toolbox import Suggestions, ToolError, prompt, resource
from toolbox.plugins import Plugins

ERAS = ["handshake", "stateless"]

CITIES = {"fr": ["Lyon", "Paris"], "it": ["Rome"]}


class Tone(Enum):
    """A closed choice."""

    KIND = "kind"
    CURT = "curt"


def cities(prefix: str, given: dict[str, str]) -> list[str]:
    return [city for city in CITIES.get(given.get("country", ""), []) if city.startswith(prefix)]


async def countries(prefix: str, _given: dict[str, str]) -> list[str]:
    return [country for country in CITIES if country.startswith(prefix)]


def numbers(_prefix: str, _given: dict[str, str]) -> Iterator[str]:
    return map(str, itertools.count())


async def thousand(_prefix: str, _given: dict[str, str]) -> list[str]:
    return [str(number) for number in range(1000)]


def counted(_prefix: str, _given: dict[str, str]) -> Suggestions:
    return Suggestions(("a",), total=5000, has_more=True)


def crashing(_prefix: str, _given: dict[str, str]) -> list[str]:
    raise RuntimeError("the secret is swordfish")


def refusing(_prefix: str, _given: dict[str, str]) -> list[str]:
    raise ToolError("it is closed on Sundays")


def one_text(_prefix: str, _given: dict[str, str]) -> str:
    return "text"


def no_text(_prefix: str, _given: dict[str, str]) -> list[int]:
    return [1]


@prompt(complete={"country": countries, "city": cities})
async def travel(country: str, city: str, tone: Tone | None = None, *, by_train: bool = False, note: str = "") -> str:
    """Plan a journey."""
    return f"{country} {city} {tone} {by_train} {note}"


@prompt(
    complete={
        "endless": numbers,
        "long": thousand,
        "counted": counted,
        "crash": crashing,
        "refuse": refusing,
        "one": one_text,  # type: ignore[dict-item]
        "number": no_text,  # type: ignore[dict-item]
    }
)
def many(endless: str, long: str, counted: str, crash: str, refuse: str, one: str, number: str) -> str:
    """Complete in every way."""
    return endless + long + counted + crash + refuse + one + number


@resource("test://cities/{country}/{city}", complete={"country": countries, "city": cities})
async def city(country: Literal["fr", "it"], city: str) -> str:
    return f"{country} {city}"


@resource("test://plain")
async def plain() -> str:
    return ""


def offering(resources: Any, prompts: Any) -> ModuleType:
    module = ModuleType("plugin")
    module.toolbox_resources = toolbox.hookimpl(specname="toolbox_resources")(lambda: resources)  # type: ignore[attr-defined]
    module.toolbox_prompts = toolbox.hookimpl(specname="toolbox_prompts")(lambda: prompts)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    plugins = make_plugins(demo=offering([city, plain], [travel, many]))
    assert plugins.plugins[0].problems == []
    return plugins


async def complete(mcp: Client, era: str, reference: Any, argument: str, value: str, **given: str) -> Any:
    """The whole answer."""
    context = {"context": {"arguments": given}} if given else {}
    params = {"ref": reference, "argument": {"name": argument, "value": value}} | context
    return (await getattr(mcp, era)("completion/complete", params)).json()


def of_prompt(name: str) -> dict[str, str]:
    return {"type": "ref/prompt", "name": name}


TRAVEL = of_prompt("demo_travel")
MANY = of_prompt("demo_many")
TEMPLATE = {"type": "ref/resource", "uri": "test://cities/{country}/{city}"}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("reference", [TRAVEL, TEMPLATE], ids=["prompt", "template"])
async def test_functions_suggest_values_that_may_depend_on_what_is_given(
    mcp: Client, era: str, reference: dict[str, str]
) -> None:
    async def read(argument: str, value: str, **given: str) -> Any:
        return (await complete(mcp, era, reference, argument, value, **given))["result"]["completion"]

    assert await read("country", "") == {"values": ["fr", "it"], "total": 2, "hasMore": False}
    assert await read("country", "i") == {"values": ["it"], "total": 1, "hasMore": False}
    assert await read("city", "") == {"values": [], "total": 0, "hasMore": False}
    assert await read("city", "", country="fr") == {"values": ["Lyon", "Paris"], "total": 2, "hasMore": False}
    assert await read("city", "P", country="fr", unknown="x") == {"values": ["Paris"], "total": 1, "hasMore": False}


@pytest.mark.parametrize("era", ERAS)
async def test_types_that_name_all_their_values_complete_themselves(mcp: Client, era: str) -> None:
    async def read(argument: str, value: str) -> Any:
        return (await complete(mcp, era, TRAVEL, argument, value))["result"]["completion"]["values"]

    assert sorted(await read("tone", "")) == ["curt", "kind"]
    assert await read("tone", "K") == ["kind"]
    assert await read("by_train", "t") == ["true"]
    assert await read("note", "") == []


@pytest.mark.parametrize("era", ERAS)
async def test_at_most_a_hundred_values_are_sent(mcp: Client, era: str) -> None:
    async def read(argument: str) -> Any:
        return (await complete(mcp, era, MANY, argument, ""))["result"]["completion"]

    hundred = [str(number) for number in range(100)]
    assert await read("long") == {"values": hundred, "total": 1000, "hasMore": True}
    assert await read("endless") == {"values": hundred, "hasMore": True}
    assert await read("counted") == {"values": ["a"], "total": 5000, "hasMore": True}


@pytest.mark.parametrize("era", ERAS)
async def test_what_cannot_be_completed_is_an_error_that_says_what_there_is(mcp: Client, era: str) -> None:
    unknown_argument = (await complete(mcp, era, TRAVEL, "planet", ""))["error"]
    assert unknown_argument["code"] == -32602
    assert "country, city, tone" in unknown_argument["message"]
    for reference in (
        of_prompt("demo_unknown"),
        {"type": "ref/resource", "uri": "test://cities/fr/Paris"},
        {"type": "ref/resource", "uri": "test://plain"},
        {"type": "ref/tool", "name": "demo_travel"},
        {"type": "ref/prompt"},
        {"name": "demo_travel"},
        "demo_travel",
        None,
    ):
        assert (await complete(mcp, era, reference, "country", ""))["error"]["code"] == -32602
    for params in (
        {},
        {"ref": TRAVEL},
        {"ref": TRAVEL, "argument": "country"},
        {"ref": TRAVEL, "argument": {"name": "country"}},
        {"ref": TRAVEL, "argument": {"name": "country", "value": 5}},
        {"ref": TRAVEL, "argument": {"name": "country", "value": ""}, "context": {"arguments": {"city": 5}}},
        {"ref": TRAVEL, "argument": {"name": "country", "value": ""}, "context": []},
    ):
        answer = await getattr(mcp, era)("completion/complete", params)
        assert answer.json()["error"]["code"] == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_given_may_be_said_in_any_way(mcp: Client, era: str) -> None:
    asked = {"ref": TRAVEL, "argument": {"name": "country", "value": "f" * 100_000}}
    for context in ({}, {"context": None}, {"context": {}}, {"context": {"arguments": None}}):
        answer = await getattr(mcp, era)("completion/complete", asked | context)
        assert answer.json()["result"]["completion"] == {"values": [], "total": 0, "hasMore": False}


@pytest.mark.parametrize("era", ERAS)
async def test_a_completer_that_fails_is_an_error(mcp: Client, era: str) -> None:
    refused = await complete(mcp, era, MANY, "refuse", "")
    assert refused["error"] == {"code": -32603, "message": "it is closed on Sundays"}
    for argument in ("crash", "one", "number"):
        answer = await complete(mcp, era, MANY, argument, "")
        assert answer["error"]["code"] == -32603
        assert len(answer["error"]["data"]["error_id"]) == 32
        assert "swordfish" not in str(answer)


async def test_results_of_the_stateless_era_are_complete(mcp: Client) -> None:
    assert set((await complete(mcp, "stateless", TRAVEL, "country", ""))["result"]) == {
        "resultType",
        "completion",
        "_meta",
    }
    assert set((await complete(mcp, "handshake", TRAVEL, "country", ""))["result"]) == {"completion"}


@pytest.mark.parametrize("era", ERAS)
async def test_without_anything_to_complete_there_is_no_method_for_it(mcp: Client, plugins: Plugins, era: str) -> None:
    discovered = (await mcp.stateless("server/discover")).json()["result"]["capabilities"]
    assert discovered["completions"] == {}
    plugins.prompts.clear()
    del plugins.resources[TEMPLATE["uri"]]
    assert (await complete(mcp, era, TRAVEL, "country", ""))["error"]["code"] == -32601
    discovered = (await mcp.stateless("server/discover")).json()["result"]["capabilities"]
    assert "completions" not in discovered
