"""Alerts and the dashboard ask for metrics that there are; whether alerts fire, run.sh sees, which needs promtool."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import toolbox.metrics
from toolbox.metrics import Labelled

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts/toolbox/rules/toolbox.yaml"
DASHBOARD = ROOT / "charts/toolbox/dashboards/toolbox.json"
FACTS = (ROOT / "toolbox/admin/metrics.py").read_text()


def families() -> dict[str, Any]:
    """What /metrics has, and what counts it; None where it is looked up in the database."""
    found = {}
    for value in vars(toolbox.metrics).values():
        instrument = value._instrument if isinstance(value, Labelled) else value
        if isinstance(instrument, MetricWrapperBase):
            found |= {family.name: value for family in instrument.describe()}
    return found | {f"toolbox_{name}": None for name in re.findall(r'Fact\("(\w+)"', FACTS)}


def known() -> set[str]:
    """The names of all samples that /metrics may show."""
    named = set()
    for name, value in families().items():
        instrument = value._instrument if isinstance(value, Labelled) else value
        kind = instrument._type if instrument else "gauge"
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(kind, ("",))
        named |= {name + end for end in ends}
    return named


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda file: file.name)
def test_every_metric_that_is_asked_for_is_one(file: Path) -> None:
    asked = set(re.findall(r"\btoolbox_\w+", file.read_text()))
    assert len(asked) > 10
    assert asked - known() == set()


def test_every_alert_is_fired_once_by_the_script() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    named = {rule["alert"] for rule in group["rules"]}
    tests = yaml.safe_load((ROOT / "tests/alerts/toolbox.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == named
    assert json.loads(DASHBOARD.read_text())["title"] == "ToolBox"
