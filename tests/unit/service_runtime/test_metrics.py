"""Metrics: named as the field names them, each with a sentence, none with a customer in its labels."""

import pytest
from prometheus_client import generate_latest

from headrace.runtime.metrics import Metrics
from headrace.runtime.reference import declared_metrics, documents

DECLARED = list(declared_metrics(Metrics("test")))
NEVER_A_LABEL = {
    "profile",
    "profile_id",
    "user_id",
    "anonymous_id",
    "email",
    "phone",
    "message_id",
    "entry_id",
    "key",
}


@pytest.mark.parametrize(("name", "kind", "labels", "sentence"), DECLARED, ids=lambda value: str(value))
def test_declaration(name: str, kind: str, labels: tuple[str, ...], sentence: str) -> None:
    assert name.startswith("headrace_")
    assert name.endswith("_total") == (kind == "counter")
    assert sentence.endswith(".")
    assert len(labels) <= 3
    assert not NEVER_A_LABEL & set(labels)


def test_everything_in_the_registry_is_declared() -> None:
    metrics = Metrics("test")
    families = {family.name for family in metrics.registry.collect()}
    assert {name.removesuffix("_total") for name, *_ in DECLARED} == families


def test_two_services_in_one_process_do_not_share_counts() -> None:
    one, other = Metrics("one"), Metrics("other")
    one.merges.inc()
    assert b"headrace_profile_merges_total 1.0" in generate_latest(one.registry)
    assert b"headrace_profile_merges_total 0.0" in generate_latest(other.registry)


def test_the_reference_names_each() -> None:
    (text,) = documents().values()
    for name, *_, sentence in DECLARED:
        assert f"`{name}`" in text
        assert sentence in text
