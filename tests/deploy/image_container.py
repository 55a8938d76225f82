"""Running the built image as its Dockerfile says: entry point, user, environment; and as operators do: with a
read-only root file system."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.image_build import BASE_ENVIRONMENT
from tests.deploy.image_dockerfile import Stage
from tests.deploy.image_root import Process, Root


@dataclass(frozen=True, slots=True)
class Image:
    """`stage` is the last one of the Dockerfile, `root` what it made."""

    root: Root
    stage: Stage

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {**self.stage.environment(BASE_ENVIRONMENT), **settings}

    def process(self, settings: Mapping[str, str], data: Path) -> Process:
        """As `docker run --read-only` with a volume at the data folder."""
        (volume,) = self.stage.last("VOLUME").words()
        return Process(
            self.environment(settings),
            self.stage.last("WORKDIR").text,
            self.stage.last("USER").text,
            read_only=True,
            writable={volume: data},
        )

    def finish(
        self, words: Sequence[str], settings: Mapping[str, str], data: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the container to its end, without the entry point."""
        command = self.root.command(words, self.process(settings, data))
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def entry(self, arguments: Sequence[str]) -> list[str]:
        """What runs for these arguments; for none, CMD's."""
        return [*self.stage.last("ENTRYPOINT").words(), *(arguments or self.stage.last("CMD").words())]

    def start(self, arguments: Sequence[str], settings: Mapping[str, str], data: Path) -> "Container":
        """Start the entry point. It is process 1 of its namespace, as in a container."""
        command = self.root.command(self.entry(arguments), self.process(settings, data))
        log = data.with_name(f"{data.name}.log")
        with log.open("wb") as output:
            outside = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return Container(outside, log)

    def health(self, settings: Mapping[str, str], data: Path) -> subprocess.CompletedProcess[str]:
        """Run what HEALTHCHECK says."""
        return self.finish(json.loads(self.stage.last("HEALTHCHECK").text.removeprefix("CMD")), settings, data)


@dataclass(frozen=True, slots=True)
class Container:
    """A running entry point. `outside` is the process that waits for it and takes its exit code."""

    outside: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Process 1 of the container, by the number that it has on this machine."""
        children = Path(f"/proc/{self.outside.pid}/task/{self.outside.pid}/children").read_text(encoding="ascii")
        return int(children.split()[0])

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self, patience: float) -> tuple[int, float]:
        """SIGTERM to process 1, as `docker stop` does; the exit code and the seconds that it took. What does not
        end within `patience` is killed: AssertionError."""
        started = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        try:
            return self.outside.wait(patience), time.monotonic() - started
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {patience} s:\n{self.said()}") from None

    def kill(self) -> None:
        """End it whatever it does: with `--kill-child`, process 1 goes with the one that waits for it."""
        self.outside.kill()
        self.outside.wait()
