"""Concurrent clients: each repeats a batch with the same messageIds until it is answered 200."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from headrace.contracts.instant import format_instant
from tests.faults.orders import Event

CLIENTS = 4
_BATCH = 40
_ANSWER_SECONDS = 7.0
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Answered:
    """An event that was answered 200: the timestamp it was sent with, and when the answer came (both in
    milliseconds since the epoch)."""

    event: Event
    timestamp: int
    answered: int


class Shoppers:
    """Sends events at their times, each customer's by one client and so in their order."""

    def __init__(self, url: str, write_key: str, events: Sequence[Event], *, patience: float = 120.0) -> None:
        self.answered: list[Answered] = []
        self.retries = 0
        self._url = url
        self._key = write_key
        self._start = time.time()
        self._deadline = time.monotonic() + patience
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        lanes: list[list[Event]] = [[] for _ in range(CLIENTS)]
        lane_of: dict[str, int] = {}
        for event in sorted(events, key=lambda event: event.at):
            lanes[lane_of.setdefault(event.user, len(lane_of) % CLIENTS)].append(event)
        self._threads = [threading.Thread(target=self._run, args=(lane,)) for lane in lanes if lane]
        for thread in self._threads:
            thread.start()

    def finish(self) -> list[Answered]:
        """Wait until everything is answered. Raises what a client died of."""
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self.answered

    def _run(self, lane: list[Event]) -> None:
        try:
            with httpx.Client(auth=(self._key, ""), timeout=_ANSWER_SECONDS, trust_env=False) as client:
                while lane:
                    time.sleep(max(0.0, self._start + lane[0].at - time.time()))
                    now = time.time() - self._start
                    due = [event for event in lane[:_BATCH] if event.at <= now]
                    self._send(client, due)
                    del lane[: len(due)]
        except BaseException as error:
            self._failure = error

    def _send(self, client: httpx.Client, events: Sequence[Event]) -> None:
        stamps = [int(1000 * (self._start + event.at)) for event in events]
        messages = [event.message(format_instant(at)) for event, at in zip(events, stamps, strict=True)]
        while not self._accepted(client, messages):
            if time.monotonic() > self._deadline:
                raise AssertionError("ingest did not take a batch in time")
            with self._lock:
                self.retries += 1
            time.sleep(_PAUSE_SECONDS)
        now = int(1000 * time.time())
        with self._lock:
            self.answered += [Answered(event, at, now) for event, at in zip(events, stamps, strict=True)]

    def _accepted(self, client: httpx.Client, messages: Sequence[object]) -> bool:
        try:
            response = client.post(f"{self._url}/v1/batch", json={"batch": messages})
        except httpx.TransportError:
            return False
        if response.status_code == 200 and "rejected" in response.text:
            raise AssertionError(f"ingest rejects what it must take: {response.text}")
        return response.status_code == 200
