"""A topic that was deleted and made again: its offsets begin anew, and what it held is gone."""

import structlog

from headrace.log.port import Bounds

log = structlog.get_logger()

HELP = (
    "somebody deleted the topic, or this is another log; receivers that miss a number say so: run "
    "`headrace republish` from there (docs/operations.md, `A topic that was made anew`)"
)


def log_replaced(topic: str, partition: int, next_offset: int, bounds: Bounds) -> None:
    """Say that we stand at `next_offset` of a partition that ends before it."""
    log.error(
        "log_replaced",
        topic=topic,
        partition=partition,
        offset=next_offset,
        begin=bounds.begin,
        end=bounds.end,
        help=HELP,
    )
