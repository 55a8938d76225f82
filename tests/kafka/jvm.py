"""The command lines of Kafka's programs, made to start fast."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.kafka import jars

BROKER, STORAGE_TOOL = "kafka.Kafka", "kafka.tools.StorageTool"
# code is never hot enough here for the optimising compiler; two cores want no parallel collector
_FLAGS = ("-Xms256m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN")


@dataclass(frozen=True, slots=True)
class Jvm:
    """A Java with Kafka's classes. `flags` are added to ours."""

    java: Path
    jars: tuple[Path, ...]
    flags: tuple[str, ...] = ()

    def command(self, main_class: str, *arguments: str) -> tuple[str, ...]:
        classpath = os.pathsep.join(str(path) for path in self.jars)
        return (str(self.java), *_FLAGS, *self.flags, "-cp", classpath, main_class, *arguments)


def plain_jvm() -> Jvm:
    """Raises Missing when there is no Java, or no Maven the first time."""
    return Jvm(jars.java(), tuple(jars.jars()))
