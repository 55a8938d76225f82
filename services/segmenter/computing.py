"""What one cause does to one customer's computed traits: who has another value than the published one."""

from collections.abc import Iterable
from typing import Protocol

from headrace.contracts.segment_change import ChangeReason
from services.segmenter.change import Occasion, Person, person
from services.segmenter.computation import Computation, message_id
from services.segmenter.computed import ComputedTrait
from services.segmenter.customer import Customer


class Counting(Protocol):
    """Of a fold: its clock, and what it has computed."""

    @property
    def seq(self) -> int: ...
    @property
    def now(self) -> int: ...

    computed: int


class Computing:
    """Compares and publishes the traits of one customer for one cause. `step` is how many outputs this occasion
    has had so far."""

    def __init__(
        self,
        clock: Counting,
        profile_id: str,
        customer: Customer,
        *,
        at: int,
        reason: ChangeReason,
        cause: tuple[str, ...],
        cause_message_id: str | None,
        row_seq: int,
        step: int = 0,
    ) -> None:
        self._clock = clock
        self._profile_id = profile_id
        self._customer = customer
        self._at = at
        self._reason: ChangeReason = reason
        self._cause = cause
        self._cause_message_id = cause_message_id
        self._row_seq = row_seq
        self._occasion: Occasion | None = None
        self.step = step
        self.made: list[Computation] = []

    def compare(self, traits: Iterable[ComputedTrait], *, again: bool = False) -> None:
        """Publish which value differs from the published one (`again`: or is one), and arm their deadlines."""
        customer, now = self._customer, self._clock.now
        dues = {}
        for trait in traits:
            text = trait.text(customer, now)
            known = customer.computed.get(trait.id)
            if text != (None if known is None else known[2]) or (again and text is not None):
                self._publish(trait.id, trait.version, text)
            dues[trait.due] = trait.figure.next_change(customer, now)
        customer.arm(dues)

    def withdraw(self, versions: Iterable[tuple[str, int]]) -> None:
        """Say that there is no value any more of these traits, where one is published."""
        for key, version in versions:
            if key in self._customer.computed:
                self._publish(key, version, None)

    def withdraw_all(self) -> None:
        known = sorted(self._customer.computed.items())
        self.withdraw([(key, version) for key, (version, _, _) in known])

    def _publish(self, key: str, version: int, text: bytes | None) -> None:
        if text is None:
            self._customer.computed.pop(key, None)
        else:
            self._customer.computed[key] = version, self._at, text
        self._clock.computed += 1
        self.step += 1
        self.made.append(
            Computation(
                self._common(),
                key,
                version,
                text,
                message_id(key, version, self._profile_id, self._cause, text),
                self._clock.computed,
                self.step,
            )
        )

    def _common(self) -> Occasion:
        if self._occasion is None:
            row_seq, clock = self._row_seq, self._clock
            self._occasion = Occasion(
                self._profile_id,
                self._reason,
                self._at,
                self._cause_message_id,
                row_seq,
                row_seq or clock.seq,
                clock.now,
                Person() if self._reason == "erasure" else person(self._customer),
            )
        return self._occasion
