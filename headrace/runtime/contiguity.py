"""Receivers demand contiguity (DESIGN §4.3): dense numbers turn every silent loss into a visible stop."""

from enum import Enum


class Verdict(Enum):
    APPLY = "apply"
    DUPLICATE = "duplicate"
    GAP = "gap"
    NEW_EPOCH = "new_epoch"
    STALE_EPOCH = "stale_epoch"


def judge(last_epoch: int, last_seq: int, epoch: int, seq: int) -> Verdict:
    """What to do with record (epoch, seq) after (last_epoch, last_seq) was applied. `seq` counts from 1."""
    if epoch < last_epoch:
        return Verdict.STALE_EPOCH
    if epoch > last_epoch:
        return Verdict.NEW_EPOCH
    if seq <= last_seq:
        return Verdict.DUPLICATE
    return Verdict.APPLY if seq == last_seq + 1 else Verdict.GAP
