"""A stand-in for ingest's `/v1/import` that keeps what it accepts and can be told to misbehave."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.cli.json_server import Answer, serving_json


@dataclass
class FakeIngest:
    """`received` lists every message as it arrived; `answer` is asked first, by the number of the request."""

    answer: Callable[[int, list[dict[str, Any]]], Answer | None] = lambda number, batch: None
    received: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    requests: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, authorization: str, body: bytes) -> Answer:
        batch = json.loads(body)["batch"]
        with self.lock:
            self.requests += 1
            self.authorizations.add(authorization)
            told = self.answer(self.requests, batch)
            if told is None or told[0] == 200:
                self.received += batch
        return told or (200, {}, {"success": True})


@contextmanager
def serving(fake: FakeIngest) -> Iterator[FakeIngest]:
    def respond(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert (method, path) == ("POST", "/v1/import")
        return fake.take(headers["authorization"], body)

    with serving_json(respond) as fake.url:
        yield fake
