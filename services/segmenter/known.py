"""Customers kept decoded from one batch to the next: who was busy a moment ago is busy now."""

from collections.abc import Iterable, Mapping

from services.segmenter.customer import Customer

CAPACITY = 2_000
"""Customers of one partition: some ten kilobytes each, next to nothing of what Redis holds."""


class Known:
    """Customers exactly as the store has them, the last used up to `capacity`.

    Who is taken is not here any more: whoever changes a customer gives it back once the store has the change, and
    after a failure nobody does.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._customers: dict[str, Customer] = {}

    def take(self, profile_ids: Iterable[str]) -> dict[str, Customer]:
        """Those of the customers that are here."""
        kept = self._customers
        return {key: customer for key in profile_ids if (customer := kept.pop(key, None)) is not None}

    def give_back(self, customers: Mapping[str, Customer | None]) -> None:
        """The store has these now (None: it has forgotten them)."""
        kept = self._customers
        for key, customer in customers.items():
            if customer is None:
                kept.pop(key, None)
            else:
                customer.stored_due = customer.due
                kept[key] = customer  # the last used stands last
        surplus = len(kept) - self._capacity
        if surplus > 0:
            for key in list(kept)[:surplus]:
                del kept[key]

    def drop(self, profile_ids: Iterable[str]) -> None:
        """Somebody else changes these."""
        for key in profile_ids:
            self._customers.pop(key, None)
