"""`headrace lint` knows plans, and those that are shipped are right."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from headrace.cli.definitions import apply, lint
from headrace.cli.deployment import Deployment
from headrace.cli.shipped import example


def linted(file: Path) -> tuple[int, str]:
    output = io.StringIO()
    return lint([file], Console(file=output, width=200)), output.getvalue()


@pytest.mark.parametrize("name", ["shop", "server"])
def test_the_shipped_plans_are_right(name: str) -> None:
    assert linted(example(f"plans/{name}.yaml")) == (0, "1 definitions are right\n")


@pytest.mark.parametrize(("field", "told"), [("unplaned: block", "did you mean unplanned?"), ("", "")])
def test_a_wrong_plan_is_told_with_its_place(tmp_path: Path, field: str, told: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"kind: plan\nsource: web\nevents: {{E: {{properties: {{a: flot}}}}}}\n{field}\n")
    code, output = linted(file)
    assert code == 1
    assert f"{file}:1 events.E.properties.a.type: 'flot' is no type; did you mean number?" in output
    assert told in output


def test_applying_a_plan_says_that_it_is_read_from_its_file() -> None:
    output = io.StringIO()
    apply([example("plans/shop.yaml")], Deployment.of({}), Console(file=output, width=200), wait=None)
    assert output.getvalue().endswith("plan: right, but read from its file, not applied\n")
