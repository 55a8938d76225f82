"""What a run of the fuzzer found: each with a file that shows it again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass
class Run:
    """`until` is a reading of the monotonic clock; `folder` gets the reproducers."""

    random: Random
    folder: Path
    until: float
    say: Callable[[str], None]
    found: list[str] = field(default_factory=list)
    tried: int = 0

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self.until

    def share(self, seconds: float) -> "Run":
        """The same run with its own end."""
        return Run(self.random, self.folder, time.monotonic() + seconds, self.say, self.found)

    def crash(self, door: str, what: str, sent: bytes) -> None:
        """Keep what was sent, and say where."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{door}-{len(self.found):03}.bin"
        path.write_bytes(sent)
        self.found.append(f"{door}: {what}")
        self.say(f"FOUND {door}: {what}\n  reproducer: {path}")
