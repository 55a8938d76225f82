"""No log, no metric and no span names anybody, whatever comes in and whatever fails."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.api import Api
from tests.e2e.canaries import CANARIES, forms, leaks
from tests.e2e.canary_ways import BadProvider, Statuses, bad_provider, everything
from tests.e2e.stack import Stack
from tests.e2e.wait import wait_until
from tests.otlp_receiver import OtlpReceiver, otlp_receiver

C = CANARIES
SERVICES = ("ingest", "profiles", "segmenter", "messenger")
PLAN = """
kind: plan
source: default
unplanned: count
events: {Known: {required: [id]}}
"""
DEFINITIONS = f"""
kind: segment
id: birds
name: Birds
when: {{event: {{name: "{C["event name"]}", count: {{gte: 1}}}}}}
---
kind: segment
id: named
name: Named
when: {{trait: {{name: last_name, eq: "{C["segment filter"]}"}}}}
---
kind: template
id: sms
channel: sms
text: "{C["template"]} {{{{ profile.traits.first_name }}}}"
---
kind: campaign
id: birds
name: Birds
purpose: transactional
trigger: {{segment: birds, on: entered}}
steps: [{{send: {{channels: [sms], template: sms}}}}]
"""


@dataclass(frozen=True)
class Aviary:
    """What was seen of a stack into which every canary went. `said` is all that its logs, metrics and spans say,
    by where."""

    said: Mapping[str, str]
    statuses: Statuses
    provider: BadProvider
    receiver: OtlpReceiver


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aviary]:
    folder = tmp_path_factory.mktemp("aviary")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    (folder / "definitions.yaml").write_text(DEFINITIONS, encoding="utf-8")
    with otlp_receiver() as receiver, bad_provider() as provider:
        settings = {
            "HEADRACE_LOG_LEVEL": "debug",
            "HEADRACE_OTLP_ENDPOINT": receiver.url,
            "HEADRACE_TRACE_RATIO": "1",
            "HEADRACE_PLANS": str(folder / "plan.yaml"),
            "HEADRACE_SMS_URL": f"twilio+http://AC1:secret@127.0.0.1:{provider.port}?from=%2B420777000000",
        }
        with Stack(settings) as stack:
            api = Api(stack)
            api.headrace("apply", "-f", folder / "definitions.yaml", "--wait")
            statuses = everything(stack, api)
            wait_until(lambda: provider.forms, 30, what="the provider to be called")
            api.close()
            said = {f"metrics of {name}": httpx.get(f"{stack.url(name)}/metrics").text for name in SERVICES}
            stack.stop()
            files = [path for path in (stack.data_dir / "logs").rglob("*") if path.is_file()]
            said |= {path.name: path.read_text("utf-8", "replace") for path in files}
            said["output"] = stack.said()
        said["spans"] = b"\n".join(receiver.bodies).decode("utf-8", "replace")
        yield Aviary(said, statuses, provider, receiver)


def test_every_canary_went_in(aviary: Aviary) -> None:
    """The ways that must succeed did, and those that must fail did, so that both were tried."""
    good = ("identify", "consent", "track", "again, otherwise", "import", "profiles: found", "profiles: search")
    assert {way: aviary.statuses[way] for way in good} == dict.fromkeys(good, 200)
    bad = {
        **{"malformed": 400, "wrong key": 401, "hook": 403, "twilio": 403},
        **{"profiles: wrong token": 401, "profiles: not found": 404},
        **{"messenger: template": 400, "segmenter: segment": 400},
    }
    assert {way: aviary.statuses[way] for way in bad} == bad
    away = [status for way, status in aviary.statuses.items() if way.startswith("without Postgres")]
    assert len(away) >= 1
    assert max(away) >= 500
    form = aviary.provider.forms[0]
    assert (form["To"], form["Body"]) == ([C["phone"]], [f"{C['template']} {C['name']}"])


def test_what_is_looked_at_is_what_services_say(aviary: Aviary) -> None:
    """Refusals, errors with their frames, and Postgres' own lines are in it; every service's metrics and spans."""
    everywhere = "\n".join(aviary.said.values())
    for word in ("record_refused", "partition_failed", "SQLSTATE", "ready to accept", "events_accepted_total"):
        assert word in everywhere, word
    assert {span.service for span in aviary.receiver.spans} == set(SERVICES)


def test_nobody_is_named(aviary: Aviary) -> None:
    found = {where: leaked for where, text in aviary.said.items() if (leaked := leaks(text))}
    assert found == {}


@pytest.mark.parametrize("what", CANARIES)
def test_a_planted_leak_is_found(what: str) -> None:
    """However it is written: as it is, quoted in a URL, escaped in JSON, in Basic authorization."""
    value = CANARIES[what]
    line = f"2026 [info] a={value.upper()} b=1"
    assert leaks(f"one line\n{line}\nlast")[what] == line
    for form in forms(value):
        assert what in leaks(f'{{"event": "x", "detail": "{form}"}}'), form
    for before in ("", "k", "ke"):
        encoded = base64.b64encode(f"{before}{value}:".encode()).decode()
        assert what in leaks(f"authorization=Basic {encoded}"), encoded


def test_nothing_is_found_where_nothing_is() -> None:
    assert leaks('{"event": "partition_assigned", "partition": 3, "service": "profiles"}') == {}
    assert leaks("") == {}
