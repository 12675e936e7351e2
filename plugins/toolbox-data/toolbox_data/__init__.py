"""Tools that convert, query, compare and merge structured data: JSON, CSV, YAML and TOML.

Each tool is a typed function that can be called like any other; this module only says which ones to offer.
Where the data is JSON, a tool takes the value itself, not its text, so that a caller never escapes JSON inside
JSON; only the tools named after a text format (`csv_to_json`, `format_json` ...) take text.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import toolbox
from toolbox_data.changes import diff_json, merge
from toolbox_data.csv_text import csv_to_json, json_to_csv
from toolbox_data.explanations import explain_changes
from toolbox_data.flat_keys import flatten, unflatten
from toolbox_data.json_text import format_json, validate_json
from toolbox_data.queries import query, query_pointer
from toolbox_data.toml_text import toml_to_json
from toolbox_data.yaml_text import json_to_yaml, yaml_to_json


@toolbox.hookimpl
def toolbox_tools() -> list[Callable[..., Any]]:
    """Offer the tools of this plugin."""
    return [
        json_to_csv,
        csv_to_json,
        json_to_yaml,
        yaml_to_json,
        toml_to_json,
        format_json,
        validate_json,
        flatten,
        unflatten,
        query,
        query_pointer,
        diff_json,
        merge,
    ]


@toolbox.hookimpl
def toolbox_skills() -> Iterator[Path]:
    """Offer the skills of this plugin: instructions for what takes several of its tools."""
    return (Path(__file__).parent / "skills").iterdir()


@toolbox.hookimpl
def toolbox_prompts() -> list[Callable[..., Any]]:
    """Offer the prompts of this plugin."""
    return [explain_changes]
