"""Postgres restored from a backup under load, on a platform of its own: its epoch is another one afterwards."""

import pytest

from tests.faults.platform import Platform
from tests.faults.restored import RESTORED
from tests.faults.suite import run

pytestmark = pytest.mark.timeout(240)

EVENTS = 250


def test_nothing_is_lost_and_nothing_sent_twice() -> None:
    with Platform() as platform:
        result = run(platform, RESTORED, EVENTS)

        print(result)
        if not result.fine:
            print(platform.stack.said()[-20_000:])
        assert result.fine, str(result)
        evidence = platform.witness.evidence
        assert len({row.epoch for row in evidence.timeline}) == 2
        unknown = {message["id"] for message in evidence.unsettled}
        assert unknown
        assert unknown & {message["id"] for message in evidence.sms}
