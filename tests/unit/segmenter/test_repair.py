"""Who works on a partition."""

from contextlib import ExitStack

from services.segmenter.repair import Repairs


def test_a_worker_that_ends_late_does_not_take_the_next_ones_place() -> None:
    repairs = Repairs()
    late = ExitStack()
    late.enter_context(repairs.working(1))
    with repairs.working(1):
        late.close()
        assert repairs.partitions == [1]
    assert repairs.partitions == []
