"""Apache Kafka's jars, fetched once with Maven into a cache that survives runs.

The cache is ${XDG_CACHE_HOME:-~/.cache}/headrace/kafka-VERSION. It appears under that name only when it is whole,
so that an interrupted fetch is never taken for one; once it is there, nothing here needs the network.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.packages import Missing

POM = Path(__file__).with_name("pom.xml")
OLDEST_JAVA = 17
_JAVA_PACKAGE = "default-jre-headless"


def kafka_version() -> str:
    """The version that the pom names."""
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text("utf-8"))
    assert found is not None
    return found[1]


def java() -> Path:
    """The java program of $JAVA_HOME or the PATH. Raises Missing when there is none or it is too old."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    program = found or shutil.which("java")
    if program is None:
        raise Missing(f"Kafka needs Java {OLDEST_JAVA} or newer, found none", _JAVA_PACKAGE)
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise Missing(f"Kafka needs Java {OLDEST_JAVA} or newer, found {program}: {said[:60]!r}", _JAVA_PACKAGE)
    return Path(program).resolve()


def cache() -> Path:
    """The folder that holds the jars, or will."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "headrace" / f"kafka-{kafka_version()}"


def jars() -> list[Path]:
    """The jars in a stable order, fetched if need be. Raises Missing without Maven, RuntimeError when it fails."""
    folder = cache()
    if not folder.is_dir():
        with exclusive(folder):
            if not folder.is_dir():
                _fetch(folder)
    return sorted(folder.glob("*.jar"))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One process at a time makes what belongs at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(f"Kafka {kafka_version()} is fetched once with Maven, found none", "maven")
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        # copied: Maven leaves its marks beside the pom
        shutil.copy(POM, partial / "pom.xml")
        copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
        command = [maven, "--batch-mode", "--quiet", "--file", str(partial / "pom.xml"), *copy]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Maven could not fetch Kafka {kafka_version()}:\n{done.stdout}{done.stderr}")
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
