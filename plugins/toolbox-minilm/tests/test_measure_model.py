"""measure_model.py: that its figures are the ones it names, on a catalogue small enough to know them."""

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType

import numpy
import pytest

import toolbox_minilm

MODEL = Path(toolbox_minilm.__file__).parent / "model"
TOOLS = {
    "get_forecast": "Get the weather forecast for a city",
    "send_message": "Send an e-mail to one or more recipients",
    "convert_currency": "Convert money from one currency into another",
    "resize_image": "Resize a picture to a width and a height",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "measure_model.py"
    specification = importlib.util.spec_from_file_location("measure_model", path)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tools = [{"id": name, "name": name, "description": text} for name, text in TOOLS.items()]
    queries = [
        {"query": "will it rain in Lisbon tomorrow?", "relevant": ["get_forecast"]},
        {"query": "mail Anna a smaller photo", "relevant": ["send_message", "resize_image"]},
        {"query": "how many euros are 250 dollars", "relevant": ["convert_currency"]},
    ]
    for file, rows in (("tools.jsonl", tools), ("queries.jsonl", queries)):
        (tmp_path / file).write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


async def test_queries_that_the_model_answers_get_full_marks(script: ModuleType, folder: Path) -> None:
    catalogue = script.read(folder, most=10)
    words = [script.word_scores(catalogue, query.text) for query in catalogue.queries]
    dense, fused = await script.measure(catalogue, words, MODEL)
    full_marks = [[1, 1 / len(query.relevant), 1] for query in catalogue.queries]
    assert dense.tolist() == fused.tolist() == full_marks


def test_words_find_only_tools_that_hold_them(script: ModuleType, folder: Path) -> None:
    catalogue = script.read(folder, most=10)
    found = script.word_scores(catalogue, "the currency of a city")
    assert found.best.tolist() == [2, 0]
    assert numpy.flatnonzero(found.scores).tolist() == [0, 2]


def test_a_right_tool_counts_for_less_the_further_down_it_is(script: ModuleType) -> None:
    ranked = [7, 1, 8, 9, 10, 2]
    gain, first, first_five = script.figures_of(ranked, frozenset({1, 2}))
    assert gain == pytest.approx((1 / math.log2(3) + 1 / math.log2(7)) / (1 + 1 / math.log2(3)))
    assert (first, first_five) == (0, 0.5)


def test_scores_that_are_all_equal_decide_nothing(script: ModuleType) -> None:
    assert script.z_scores(numpy.array([2.0, 2.0])).tolist() == [0, 0]
    assert script.z_scores(numpy.array([1.0, 3.0])).tolist() == [-1, 1]
