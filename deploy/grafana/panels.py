"""What a dashboard is made of, and the queries that many panels ask."""

from collections.abc import Sequence
from dataclasses import dataclass, field

RATE = "[$__rate_interval]"
OWN = 'route!~"/(healthz|readyz|metrics)"'


@dataclass(frozen=True)
class Panel:
    """`queries`: expressions, and how their series are named. `unit` is Grafana's; `kind` is `timeseries` or
    `stat`; what is `signed` may be below zero."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    stack: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading, side by side, as many a line as `across` says."""

    title: str
    panels: Sequence[Panel]
    across: int = 3


@dataclass(frozen=True)
class Dashboard:
    """`variables`: label values to choose from, by name: (metric, label)."""

    uid: str
    title: str
    rows: Sequence[Row]
    variables: dict[str, tuple[str, str]] = field(default_factory=dict)


def quantiles(metric: str, by: str = "", where: str = "") -> list[tuple[str, str]]:
    """Median, 95 and 99 in a hundred of a histogram, by a label or over all."""
    labels = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{RATE})))",
            f"{name}p{round(q * 100)}",
        )
        for q in (0.5, 0.95, 0.99)
    ]


def rates(metric: str, *by: str, where: str = "") -> list[tuple[str, str]]:
    """Per second, by labels."""
    name = " ".join(f"{{{{{label}}}}}" for label in by) or "all"
    return [(f"sum by ({', '.join(by)}) (rate({metric}{{{where}}}{RATE}))", name)]


def most(metric: str, *by: str, where: str = "") -> list[tuple[str, str]]:
    """The greatest of what processes or partitions say, by labels."""
    name = " ".join(f"{{{{{label}}}}}" for label in by) or "all"
    return [(f"max by ({', '.join(by)}) ({metric}{{{where}}})", name)]
