"""The REST interface does what its description says, whatever is asked of it."""

import asyncio
import contextlib
import os
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway.openapi import description
from shared.messages import RunSpec
from tests.conftest import eventually
from tests.integration.gateway.kit import RUN, Orchestrator, status_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

OPERATIONS = [
    f"{method.upper()} {path}" for path, item in description()["paths"].items() for method in item if method != "parameters"
]

EXAMPLES, LEAST = (120, 2000) if os.environ.get("CI") else (20, 300)
"""Requests, well-formed and ill-formed each, for each operation that takes anything; and how many that is in all at least.
CI asks thousands, which takes a minute; a person who waits for the tests is served by hundreds."""


def test_every_field_of_a_run_is_described() -> None:
    request = description()["components"]["schemas"]["RunRequest"]
    assert set(request["properties"]) == set(RunSpec.__struct_fields__)
    assert request["required"] == ["topic"]


async def test_no_request_makes_the_gateway_fail_or_stray_from_its_description(
    client: httpx.AsyncClient, orchestrator: Orchestrator
) -> None:
    await orchestrator.write()
    await orchestrator.accept("Louvre", "Eiffel Tower")
    await orchestrator.finish()  # so that its event stream ends
    await eventually(lambda: status_of(client))
    answered = await asyncio.to_thread(ask_everything, str(client.base_url).rstrip("/"))
    assert set(answered) == set(OPERATIONS)
    assert answered.total() >= LEAST, answered


def ask_everything(address: str) -> Counter[str]:
    """Ask each operation for what its description allows and for what it does not; returns how often."""
    answered: Counter[str] = Counter()
    for result in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # an Err has it too, and raises what is wrong
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with contextlib.suppress(Unsatisfiable):  # it takes nothing, so nothing can be ill-formed
                answered[operation.label] += ask(operation.as_strategy(generation_mode=mode), address)
    return answered


def ask(cases: SearchStrategy[Any], address: str) -> int:
    """Ask for what a strategy makes up, and check each answer against the description; returns how often."""
    answered = 0

    @seed(5)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def conforms(case: Any) -> None:
        nonlocal answered
        if "run" in case.path_parameters and answered % 2:
            case.path_parameters["run"] = RUN  # else hardly a request would find a run
        case.call_and_validate(base_url=address, checks=CHECKS)
        answered += 1

    conforms()
    return answered


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_operation_tells_its_problems_as_problems(label: str) -> None:
    method, path = label.split()
    for status, answer in description()["paths"][path][method.lower()]["responses"].items():
        if int(status) >= 400 and path != "/readyz":
            assert list(answer["content"]) == ["application/problem+json"], status
