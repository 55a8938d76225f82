"""No service answers 5xx or other than its OpenAPI document says, whatever it is asked."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.stack import Stack
from tests.fuzz.conformance import SERVICES, check
from tests.fuzz.planted import plant

EXAMPLES = int(os.environ.get("HEADRACE_FUZZ_EXAMPLES", "4"))
SEED = int(os.environ.get("HEADRACE_FUZZ_SEED", "1"))


@pytest.fixture(scope="module")
def ids(stack: Stack) -> Iterator[Mapping[str, Sequence[str]]]:
    api = Api(stack)
    yield plant(api)
    api.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", SERVICES)
def test_answers_as_documented(
    stack: Stack, ids: Mapping[str, Sequence[str]], service: str, tmp_path: Path
) -> None:
    found = check(stack, service, ids, tmp_path, examples=EXAMPLES, seed=SEED)
    assert found is None, found
