"""Whatever the OpenAPI document allows, and whatever it forbids, is sent to a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.flows.conftest import Server, start_server

KEY = "a key of the operator"

schemathesis.serializer.alias("application/jsonl", "application/json")  # one JSON value is one line


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Server]:
    server = start_server(DATABASE_URL=postgres, API_KEY=KEY, RATE_LIMIT_ENABLED="false")
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture(scope="module")
def api(server: Server) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/schema/openapi.json")


def test_no_request_is_answered_with_a_server_error_or_against_the_document(api: Any) -> None:
    operations = [result.ok() for result in api.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:
        send(operation, 30, CHECKS, headers={"X-API-Key": KEY})


def test_without_a_key_requests_are_refused_as_documented(api: Any) -> None:
    for operation in (result.ok() for result in api.get_all_operations()):
        send(operation, 4, CHECKS[:4])


def send(operation: Any, examples: int, checks: list[Any], **options: Any) -> None:
    """Send what an operation takes, and what it does not take."""
    strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=st.one_of(strategies))
    def every_answer_is_as_documented(case: Any) -> None:
        case.call_and_validate(checks=checks, **options)

    every_answer_is_as_documented()


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
