"""The sizing model: what it is made of stands in the documents, and it behaves as sizes do."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.capacity_model import (
    EXAMPLES,
    SERVICES,
    Load,
    bytes_a_customer,
    bytes_an_event,
    cores,
    costs,
    costs_table,
    needs,
    needs_table,
    partitions,
    processes,
)

PAGE = Path(__file__).parents[3] / "docs" / "capacity.md"


def needed(load: Load) -> dict[str, float]:
    return {need.what: need.value for need in needs(load)}


def test_the_page_has_the_models_figures() -> None:
    page = PAGE.read_text("utf-8")
    missing = [row for row in (*costs_table(Load()), *needs_table(EXAMPLES)) if row not in page]
    assert not missing, "\n".join(["python -m tests.bench.capacity_model --tables gives these rows:", *missing])


def test_the_page_has_no_row_that_the_model_does_not_give() -> None:
    rows = {*costs_table(Load()), *needs_table(EXAMPLES)}
    found = {
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(("| cpu ", "| kafka", "| redis"))
    }
    assert found <= rows, found - rows


def test_twice_the_events_need_twice_the_cores_and_the_room() -> None:
    once, twice = needed(Load(events_per_second=5_000)), needed(Load(events_per_second=10_000))
    for what in ("profiles: cores kept busy", "kafka: written at the peak", "postgres: added"):
        assert twice[what] == pytest.approx(2 * once[what])
    assert twice["redis: kept, one copy"] == once["redis: kept, one copy"]


def test_more_customers_need_more_redis_and_no_more_cores() -> None:
    few, many = needed(Load(customers=1_000_000)), needed(Load(customers=3_000_000))
    assert many["redis: kept, one copy"] == pytest.approx(3 * few["redis: kept, one copy"])
    assert many["postgres: added"] == few["postgres: added"]
    assert many["profiles: cores kept busy"] == few["profiles: cores kept busy"]


def test_larger_events_need_as_many_bytes_more_in_each_place_that_keeps_them() -> None:
    small, large = Load(event_bytes=400), Load(event_bytes=500)
    assert bytes_an_event(large, "kafka") - bytes_an_event(small, "kafka") == pytest.approx(200)
    assert bytes_an_event(large, "postgres") - bytes_an_event(small, "postgres") == pytest.approx(100)
    assert bytes_a_customer(large, "redis") == bytes_a_customer(small, "redis")


def test_messages_cost_what_they_cost_beside_the_events() -> None:
    none, all_of_them = Load(messages=0.0), Load(messages=1.0)
    per_message = costs(none)["cpu messenger for messages"].value
    assert cores(all_of_them, "messenger") - cores(none, "messenger") == pytest.approx(per_message)


def test_no_service_is_alone_and_every_process_has_room() -> None:
    for load in (Load(events_per_second=1), *EXAMPLES):
        for service in SERVICES:
            assert processes(load, service) >= 2
            assert cores(load, service) / processes(load, service) <= 0.6 + 1e-9
        assert partitions(load) % 12 == 0
        assert partitions(load) >= 2 * max(processes(load, service) for service in SERVICES[1:])


def test_the_calculator_takes_every_part_of_a_load() -> None:
    options = [f"--{field.name.replace('_', '-')}=2" for field in dataclasses.fields(Load)]
    command = (sys.executable, "-m", "tests.bench.capacity_model", *options)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == len(list(needs(Load())))
