"""The Kafka adapter on a mock broker, as far as that one goes; `make test-kafka` has the real one."""

import pytest

from headrace.contracts.topics import Topic
from headrace.log.kafka import KafkaLog
from headrace.log.port import LogUnavailable
from tests.conformance.log_engine import HOUR_MS, closing, fresh
from tests.conformance.log_suite import LogSuite
from tests.conformance.mock_engine import MockBroker, MockEngine

PROCESS = "the mock broker is no process: it can be neither killed nor stopped"
GROUPS = "the mock broker does not bring several members of a group together"
SLOW = f"{GROUPS}; not run, for it fails by a long wait: test_members_share_the_partitions is"
BEYOND = {
    "test_an_acknowledged_append_survives_a_kill": PROCESS,
    "test_an_engine_killed_in_the_middle_of_appends_keeps_whole_batches": PROCESS,
    "test_a_dead_engine_is_unavailable_and_then_comes_back": PROCESS,
    "test_a_wait_outlasts_a_restart_of_the_engine": PROCESS,
    "test_a_member_outlasts_a_restart_of_the_engine": PROCESS,
    "test_no_call_waits_longer_than_the_deadline_for_a_stalled_engine": PROCESS,
    "test_an_append_lands_before_its_end_or_never": PROCESS,
    "test_members_share_the_partitions": GROUPS,
    "test_no_partition_has_two_members": SLOW,
    "test_leaving_hands_over_at_once": SLOW,
    "test_closing_the_log_leaves_its_groups_and_is_idempotent": SLOW,
    "test_members_come_and_go_while_records_flow": SLOW,
    "test_a_rolling_restart_of_the_members_loses_nothing": SLOW,
    "test_a_killed_member_is_replaced": SLOW,
    "test_a_paused_member_finds_out_that_it_was_replaced": SLOW,
}


pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def broker() -> MockBroker:
    return MockBroker()


class TestMockedKafka(LogSuite):
    settles = 5.0
    unrenewed = 3.0

    @pytest.fixture(autouse=True)
    def _beyond(self, request: pytest.FixtureRequest) -> None:
        if reason := BEYOND.get(request.node.name):
            raises = NotImplementedError if reason is PROCESS else TimeoutError
            mark = pytest.mark.xfail(strict=True, reason=reason, raises=raises, run=reason is not SLOW)
            request.applymarker(mark)

    @pytest.fixture
    def engine(self, broker: MockBroker) -> MockEngine:
        return MockEngine(broker)

    @pytest.fixture
    def own_engine(self, broker: MockBroker) -> MockEngine:
        return MockEngine(broker)


async def test_while_no_controller_is_elected_topics_cannot_be_made(broker: MockBroker) -> None:
    """The mock broker names none, as brokers do that have lost the quorum."""
    async with closing(await KafkaLog.connect(broker.url, rollback_horizon_ms=HOUR_MS)) as log:
        with pytest.raises(LogUnavailable, match="no controller"):
            await log.create_topics([Topic(fresh("topic"), "any", "Never made.")], 1)
