"""Postgres is restored from a backup under load: the events since are read again, nobody gets anything twice."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from headrace.contracts.ids import send_id
from headrace.local import binaries
from tests.e2e.wait import wait_until
from tests.faults.evidence import MESSAGES, SEGMENT_CHANGES, Document, Evidence
from tests.faults.orders import CAMPAIGNS
from tests.faults.platform import Platform
from tests.faults.suite import Row
from tests.servers import DATABASE_URL, programs

_BEFORE_SECONDS = 1.5
_SINCE_SECONDS = 1.0
_DECIDED = frozenset({"accepted", "failed", "skipped", "unknown"})


def _restored(platform: Platform) -> float:
    """As docs/backup.md says it; and the messenger has just handed a message to the provider, and told nobody."""
    time.sleep(_BEFORE_SECONDS)
    backup = platform.folder / "headrace.backup"
    _run("pg_dump", "--format=custom", f"--file={backup}", platform.postgres.url)
    sent = _sent(platform)
    wait_until(lambda: _sent(platform) > sent, 30, what="a message to be sent after the backup")
    platform.arm("messenger", "after_send", "stop")
    platform.wait_fired("messenger", "after_send")
    time.sleep(_SINCE_SECONDS)
    platform.signal("messenger", signal.SIGKILL)
    platform.stack.stop()
    platform.disarm("messenger", "after_send")
    evidence = platform.witness.look_at_log()
    evidence.in_doubt |= _in_doubt(evidence)
    _put_back(platform.postgres.url, backup)
    platform.api.headrace("restored")
    platform.witness.forget_timeline()
    platform.stack.start()
    return time.time()


def _sent(platform: Platform) -> int:
    """How many messages the file provider has."""
    path = platform.stack.outbox / "sms.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _put_back(url: str, backup: Path) -> None:
    """Into an empty database of the same name."""
    parts = urlsplit(url)
    name, maintenance = parts.path.removeprefix("/"), urlunsplit(parts._replace(path="/template1"))
    _run("dropdb", "--force", f"--maintenance-db={maintenance}", name)
    _run("createdb", f"--maintenance-db={maintenance}", name)
    _run("pg_restore", "--exit-on-error", f"--dbname={url}", str(backup))


def _run(program: str, *arguments: str) -> None:
    server = programs.postgres_server() if os.environ.get(DATABASE_URL) else binaries.postgres_server()
    done = subprocess.run(
        [server.with_name(program), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"


def _in_doubt(evidence: Evidence) -> set[str]:
    """Messages of entries that the messenger may have read, of which it has not told the end."""
    wanted = {
        send_id(campaign, change["properties"]["entry_id"], "0")
        for change in _values(evidence, SEGMENT_CHANGES)
        for campaign, segment in CAMPAIGNS.items()
        if change["event"] == "Audience Entered" and change["properties"]["segment_id"] == segment
    }
    told = {outcome["id"] for outcome in _values(evidence, MESSAGES) if outcome.get("outcome") in _DECIDED}
    return wanted - told


def _values(evidence: Evidence, wanted: str) -> list[Document]:
    return [
        json.loads(record.value or b"{}")
        for (topic, _), records in evidence.records.items()
        if topic == wanted
        for record in records
    ]


RESTORED = Row("Postgres restored from a backup", _restored, seconds=5)
