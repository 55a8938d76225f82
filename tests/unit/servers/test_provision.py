"""What `make test-kafka` needs: found, fetched once and whole, or missed with the word that helps."""

import os
from pathlib import Path

import pytest

from tests.kafka import jars
from tests.servers.packages import Missing, provided

MAVEN = """\
for word; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
echo once >> "$CALLS"
touch "$folder/kafka.jar"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, beside an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "touch"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def script(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
    path.chmod(0o755)


def test_no_java_and_an_old_one_are_said_with_the_package(programs: Path) -> None:
    with pytest.raises(Missing, match=r"Java 17 or newer, found none .*apt-get install default-jre-headless"):
        jars.java()
    script(programs, "java", """echo 'openjdk version "11.0.20" 2023-07-18' >&2""")
    with pytest.raises(
        Missing, match=r"Java 17 or newer, found .*11\.0\.20.*apt-get install default-jre-headless"
    ):
        jars.java()
    script(programs, "java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    assert jars.java() == (programs / "java").resolve()


def test_the_jars_are_fetched_once(programs: Path) -> None:
    with pytest.raises(Missing, match=r"apt-get install maven"):
        jars.jars()
    script(programs, "mvn", MAVEN)
    assert [path.name for path in jars.jars()] == ["kafka.jar"]
    (programs / "mvn").unlink()
    assert [path.name for path in jars.jars()] == ["kafka.jar"]


def test_a_fetch_that_failed_half_way_leaves_nothing_that_is_taken_for_whole(programs: Path) -> None:
    script(programs, "mvn", f"{MAVEN}echo 'no route to the repository'\nexit 1")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no route to the repository"):
            jars.jars()
    assert Path(os.environ["CALLS"]).read_text() == "once\n" * 2
    assert [path.suffix for path in jars.cache().parent.iterdir()] == [".lock"]


def test_what_cannot_be_installed_is_missed(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(programs, "apt-get", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match=r"found none \(Debian, Ubuntu: apt-get install maven\)"):
        provided(jars.jars)


def test_what_is_missing_is_installed_by_root_and_its_service_not_started(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr("tests.servers.packages._POLICY", policy)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(programs, "apt-get", f"""case "$*" in *install*) {policy}; echo "$? $*" >> "$CALLS";; esac""")
    with pytest.raises(Missing):
        provided(jars.jars)
    called = Path(os.environ["CALLS"]).read_text()
    assert called == "101 --quiet install --yes --no-install-recommends maven\n"
    assert not policy.exists()
