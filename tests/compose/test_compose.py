"""The compose files: what the schema says of them, and what they promise."""

import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from toolbox.settings import describe_settings

ROOT = Path(__file__).parents[2]
RELATED = {"DATABASE_URL_FILE", "SECRET_KEY_FILE", "API_KEY_FILE"}


class Loader(yaml.SafeLoader):
    """Knows compose's own tag, which takes a value of the file before away."""


Loader.add_constructor("!reset", lambda _loader, _node: None)


@pytest.fixture(scope="module")
def base() -> dict[str, Any]:
    return read("compose.yaml")


@pytest.fixture(scope="module")
def production() -> dict[str, Any]:
    return read("compose.prod.yaml")


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load((ROOT / name).read_text(), Loader)
    return content


@pytest.mark.parametrize("name", ["compose.yaml", "compose.prod.yaml"])
def test_it_is_as_the_compose_specification_wants_it(name: str) -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    content = read(name)
    for service in content["services"].values():  # a value that is reset is none to the specification
        for key in [key for key, value in service.items() if value is None]:
            del service[key]
    found = [
        f"{list(error.instance_path)}: {error.message}"
        for error in jsonschema_rs.validator_for(schema).iter_errors(content)
    ]
    assert found == []


def test_every_image_has_a_version(base: dict[str, Any]) -> None:
    for name, service in base["services"].items():
        tag = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"]).rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"


def test_parts_start_when_what_they_need_is_ready(base: dict[str, Any]) -> None:
    needs = {name: service.get("depends_on", {}) for name, service in base["services"].items()}
    assert needs["migrations"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("toolbox", "worker"):
        assert needs[name]["migrations"] == {"condition": "service_completed_successfully"}
        assert needs[name]["valkey"] == {"condition": "service_healthy"}
    for name in ("postgres", "valkey"):
        assert "test" in base["services"][name]["healthcheck"]
    assert {name: service.get("profiles") for name, service in base["services"].items() if service.get("profiles")} == {
        "worker": ["worker"],
        "prometheus": ["monitoring"],
        "collector": ["monitoring"],
    }


def test_nothing_is_published_beyond_this_machine_and_no_database_at_all(base: dict[str, Any]) -> None:
    for name, service in base["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert not base["services"]["postgres"].get("ports")
    assert not base["services"]["valkey"].get("ports")


def test_toolbox_runs_without_rights(base: dict[str, Any]) -> None:
    for name in ("toolbox", "worker", "migrations"):
        service = base["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_production_has_limits_and_takes_secrets_from_files(base: dict[str, Any], production: dict[str, Any]) -> None:
    unlimited = base["services"].keys() - production["services"].keys()
    assert unlimited == {"prometheus", "collector"}
    for name, service in production["services"].items():
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
        assert service["restart"] == ("no" if name == "migrations" else "always")
    assert all(set(kept) == {"file"} for kept in production["secrets"].values())
    for name in ("toolbox", "worker", "migrations"):
        environment = production["services"][name]["environment"]
        for variable, value in environment.items():  # an empty variable counts as unset, so the file counts
            assert value == (f"/run/secrets/{variable.removesuffix('_FILE').lower()}" if variable in RELATED else "")
        assert set(production["services"][name]["secrets"]) <= production["secrets"].keys()


def test_what_it_sets_is_a_setting(base: dict[str, Any]) -> None:
    known = {name for name, _, _ in describe_settings()}
    assert base["services"]["toolbox"]["environment"].keys() <= known


def test_the_secrets_of_development_are_what_compose_asks_for() -> None:
    made = subprocess.run([ROOT / ".dev/secrets"], capture_output=True, text=True, check=True).stdout
    secrets = dict(line.split("=") for line in made.splitlines())
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert secrets.keys() == asked - {"TOOLBOX_VERSION", "LOG_LEVEL", "PORT"}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in secrets.values())
    manifest = subprocess.run([ROOT / ".dev/secrets", "--kubernetes", "a"], capture_output=True, text=True, check=True)
    assert yaml.safe_load(manifest.stdout)["stringData"].keys() == secrets.keys()
