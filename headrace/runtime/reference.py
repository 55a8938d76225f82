"""Writes docs/metrics.md from the declared metrics: `python -m headrace.runtime.reference [--check]`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from headrace.contracts.generate import run, table
from headrace.runtime.metrics import Metrics


def documents() -> dict[str, str]:
    """The generated document: its path in the repository and its text."""
    rows = [
        [f"`{name}`", kind, ", ".join(labels) or "-", sentence]
        for name, kind, labels, sentence in declared_metrics(Metrics("reference"))
    ]
    return {
        "docs/metrics.md": "# Metrics\n\n"
        "Generated from `headrace/runtime/metrics.py`. Every service serves its own on `/metrics` in Prometheus'\n"
        "text format; labels are few and bounded, never a customer's id.\n\n"
        + table(["metric", "type", "labels", "what it says"], rows)
    }


def declared_metrics(metrics: Metrics) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name as exposed, type, labels and sentence of each metric, in the order of their declaration."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.describe()))
            suffix = "_total" if described.type == "counter" else ""
            yield described.name + suffix, described.type, metric._labelnames, described.documentation


if __name__ == "__main__":
    sys.exit(run(documents(), (), sys.argv[1:], Path.cwd()))
