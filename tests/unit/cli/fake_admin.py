"""A stand-in for a service's admin API: keeps what is put, lists it in pages of one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.cli.json_server import Answer, serving_json


@dataclass
class FakeAdmin:
    """`kept` holds definitions by path, in the order they were put; `status` is what each segment says of
    itself, one word a look, the last one for ever. `refuse` answers every request instead."""

    kept: dict[str, Any] = field(default_factory=dict)
    status: list[str] = field(default_factory=lambda: ["live"])
    refuse: Answer | None = None
    authorizations: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, method: str, target: str, body: Any) -> Answer:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if self.refuse:
            return self.refuse
        if method == "PUT":
            self.kept[path] = body
            return 200, {}, {"id": body["id"], "version": 1, "status": self.status[0]}
        if path.count("/") == 2:
            found = [value for key, value in self.kept.items() if key.startswith(path + "/")]
            at = int(query.get("cursor", ["0"])[0])
            return 200, {}, {"items": found[at : at + 1], "next": str(at + 1) if at + 1 < len(found) else None}
        if path not in self.kept:
            return 404, {}, {"success": False, "code": "not_found", "message": "There is no such definition."}
        if method == "DELETE":
            del self.kept[path]
            return 200, {}, {"success": True}
        status = self.status.pop(0) if len(self.status) > 1 else self.status[0]
        return 200, {}, {**self.kept[path], "version": 1, "status": status}


@contextmanager
def serving(fake: FakeAdmin) -> Iterator[FakeAdmin]:
    def respond(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        fake.authorizations.add(headers["authorization"])
        return fake.answer(method, target, json.loads(body) if body else None)

    with serving_json(respond) as fake.url:
        yield fake
