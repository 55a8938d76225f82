"""What the demo shows: who enters which segment, and what is sent, as it happens."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from headrace.cli.client import Service
from headrace.cli.definitions import say
from headrace.cli.deployment import Deployment


class Watch:
    """Looks at segments and outbox when told to, and prints what is new since the last look."""

    def __init__(self, deployment: Deployment, segments: Sequence[str], console: Console) -> None:
        self._segments = {name: set[str]() for name in segments}
        self._segmenter = Service(deployment, "segmenter")
        self._profiles = Service(deployment, "profiles")
        self._outbox = deployment.data_dir / "outbox" / "sms.jsonl"
        self._console = console
        self._names: dict[str, str] = {}
        self.sent: Counter[str] = Counter()
        self._messages_read = 0

    def look(self) -> None:
        for segment, known in self._segments.items():
            members = {item["profile_id"] for item in self._segmenter.items(f"/v1/segments/{segment}/members")}
            for profile in sorted(members - known):
                say(self._console, f"  entered {segment:<14} {self._name(profile)}")
            for profile in sorted(known - members):
                say(self._console, f"  left    {segment:<14} {self._name(profile)}")
            self._segments[segment] = members
        for message in self._new_messages():
            self.sent[message["to"]] += 1
            say(self._console, f"  SMS to {message['to']}: {message['text']}")

    def sizes(self) -> dict[str, int]:
        return {segment: len(members) for segment, members in self._segments.items()}

    def members(self, segment: str) -> set[str]:
        """The names of the segment's members at the last look."""
        return {self._name(profile) for profile in self._segments[segment]}

    def _name(self, profile: str) -> str:
        """The customer's own id, else the receipt's, else the profile's."""
        if profile not in self._names:
            found = self._profiles.get(f"/v1/profiles/{profile}")["identifiers"]
            values = {item["type"]: item["value"] for item in found}
            self._names[profile] = values.get("user_id") or values.get("anonymous_id") or profile
        return self._names[profile]

    def _new_messages(self) -> list[dict[str, Any]]:
        lines = _complete_lines(self._outbox)
        new = [json.loads(line) for line in lines[self._messages_read :]]
        self._messages_read = len(lines)
        return new


def _complete_lines(path: Path) -> list[bytes]:
    """The file's lines; one that is being written has no end yet and comes next time."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
