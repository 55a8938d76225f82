"""A bound on the request bytes held in memory: beyond it, senders are asked to come back."""

from headrace.contracts.errors import ApiError

RETRY_AFTER_SECONDS = 1


class Budget:
    """Bytes that requests may hold at once, for the whole process."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0

    def lease(self) -> "Lease":
        return Lease(self)


class Lease:
    """One request's share. Give it back with `release`, whatever happened."""

    __slots__ = ("_budget", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> None:
        """Raises ApiError 503 when the process holds too much already."""
        if self._budget.used + size > self._budget.capacity:
            raise ApiError(
                503,
                "overloaded",
                "The service holds as much as it may; repeat the request.",
                retry_after=RETRY_AFTER_SECONDS,
            )
        self._budget.used += size
        self.held += size

    def release(self) -> None:
        self._budget.used -= self.held
        self.held = 0
