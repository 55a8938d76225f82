"""What is made of the lock: the image's part of it, the bill of materials, the audit."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.packages import audit, image, sbom
from deploy.packages.lock import LockError, Pin, needed, read_lock
from tests.deploy.conftest import ROOT

LOCK = ROOT / "requirements.lock"
TRACING = ROOT / "requirements-tracing.lock"
# read apart from the code under test: every line of the lock that pins, every hash
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*?\])?==([^\s;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")

SMALL = """\
app==1.0 \\
    --hash=sha256:aa
    # via headrace (pyproject.toml)
engine[fast]==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via
    #   -c requirements-dev.lock
    #   headrace (pyproject.toml)
helper==3.0 \\
    --hash=sha256:dd
    # via
    #   -c requirements-dev.lock
    #   engine
shared==4.0 \\
    --hash=sha256:ee
    # via
    #   app
    #   builder
    #   engine
builder==5.0 \\
    --hash=sha256:ff
    # via headrace (pyproject.toml:build)
"""


@pytest.fixture(scope="module")
def pins() -> tuple[Pin, ...]:
    return read_lock(LOCK.read_text(encoding="utf-8"))


def names(found: tuple[Pin, ...]) -> list[str]:
    return [pin.name for pin in found]


def test_a_lock_is_read_with_its_reasons() -> None:
    _, engine, helper, shared, builder = read_lock(SMALL)
    assert (engine.name, engine.version, engine.marker) == ("engine", "2.0", "sys_platform == 'linux'")
    assert engine.hashes == (("sha256", "bb"), ("sha256", "cc"))
    assert (engine.wanted_by, engine.groups) == ((), ("",))
    assert (helper.wanted_by, helper.groups) == (("engine",), ())
    assert shared.wanted_by == ("app", "builder", "engine")
    assert builder.groups == ("build",)


def test_what_is_left_out_takes_along_what_only_it_needs() -> None:
    pins = read_lock(SMALL)
    assert names(needed(pins)) == ["app", "engine", "helper", "shared"]
    assert names(needed(pins, without=["engine"])) == ["app", "shared"]
    assert names(needed(pins, group="build")) == ["shared", "builder"]


def test_a_name_that_the_lock_does_not_have_is_an_error() -> None:
    with pytest.raises(LockError, match="the lock has no motor"):
        needed(read_lock(SMALL), without=["motor"])


def test_a_pin_without_hash_is_an_error() -> None:
    with pytest.raises(LockError, match="no pin with a hash"):
        read_lock("app==1.0\n    # via headrace (pyproject.toml)\n")


def test_the_image_has_all_that_the_services_need_and_no_engine(pins: tuple[Pin, ...]) -> None:
    run, build = names(image.part(pins, "run")), names(image.part(pins, "build"))
    assert {"uvicorn", "aiokafka", "asyncpg", "redis", "fastapi"} <= set(run)
    assert not set(image.EMBEDDED_ENGINES) & set(run)
    assert "hatchling" in build
    assert "hatchling" not in run
    left_out = set(names(pins)) - set(run) - set(build)
    assert all(set(pin.wanted_by) <= left_out for pin in pins if pin.name in left_out)


def test_the_image_can_send_traces(pins: tuple[Pin, ...]) -> None:
    """Nothing can be installed in it later."""
    run = names(image.part(read_lock(TRACING.read_text(encoding="utf-8")), "run"))
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "protobuf"} <= set(run)
    assert set(names(image.part(pins, "run"))) < set(run)
    assert f"deploy.packages.image {TRACING.name} run" in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


def test_the_parts_are_locks_themselves(pins: tuple[Pin, ...]) -> None:
    done = run_module("deploy.packages.image", str(LOCK), "run")
    assert done.returncode == 0
    assert read_lock(done.stdout) == image.part(pins, "run")


def run_module(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["image", "sbom", "audit"])
def test_a_wrong_call_says_what_to_give(module: str) -> None:
    done = run_module(f"deploy.packages.{module}")
    assert done.returncode == 2
    assert done.stderr.startswith("give the lock's path")


def test_the_bill_names_every_package_with_its_version_and_hashes() -> None:
    text = LOCK.read_text(encoding="utf-8")
    document = json.loads(run_module("deploy.packages.sbom", str(LOCK)).stdout)
    components = document["components"]
    assert [(item["name"], item["version"]) for item in components] == PINNED.findall(text)
    assert [item["purl"] for item in components] == [
        f"pkg:pypi/{name}@{version}" for name, version in PINNED.findall(text)
    ]
    hashes = [
        hash_["content"] for item in components for file in item["externalReferences"] for hash_ in file["hashes"]
    ]
    assert hashes == HASH.findall(text)


@pytest.mark.parametrize("arguments", [[], ["run"]])
def test_the_bill_is_a_cyclonedx_document(arguments: list[str]) -> None:
    text = run_module("deploy.packages.sbom", str(LOCK), *arguments).stdout
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"version": 1,', '"version": "one",', 1)) is not None


def test_the_bill_says_who_needs_whom(pins: tuple[Pin, ...]) -> None:
    document = sbom.sbom(pins)
    needs: dict[str, list[str]] = {item["ref"]: item["dependsOn"] for item in document["dependencies"]}
    version = {pin.name: sbom.purl(pin) for pin in pins}
    assert version["starlette"] in needs[version["fastapi"]]
    assert version["fastapi"] in needs[document["metadata"]["component"]["bom-ref"]]
    assert reachable(needs, document["metadata"]["component"]["bom-ref"]) == set(needs)


def reachable(needs: dict[str, list[str]], start: str) -> set[str]:
    found, todo = set(), [start]
    while todo:
        if (ref := todo.pop()) not in found:
            found.add(ref)
            todo.extend(needs[ref])
    return found


def test_the_bill_depends_on_the_lock_alone(pins: tuple[Pin, ...]) -> None:
    first, again = sbom.sbom(pins), sbom.sbom(pins)
    assert json.dumps(first) == json.dumps(again)
    assert sbom.sbom(pins[1:])["serialNumber"] != first["serialNumber"]


def package(name: str, *, flaws: int = 0, skipped: bool = False) -> dict[str, Any]:
    if skipped:
        return {"name": name, "skip_reason": "not found"}
    return {"name": name, "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}] * flaws}


@pytest.mark.parametrize(
    ("packages", "if_reachable", "code", "word"),
    [
        ([package("a"), package("b")], False, 0, "2 packages, no known vulnerability"),
        ([package("a"), package("b", flaws=1)], True, 1, "b 1.0: CVE-1, mended in 1.1"),
        ([package("a", flaws=1), package("b", skipped=True)], True, 1, "CVE-1"),
        ([package("a"), package("b", skipped=True)], True, 3, "did not answer about 1 packages: b"),
        ([package("a", skipped=True)], False, 3, "NOTHING WAS AUDITED"),
        ([package("a", skipped=True)], True, 0, "NOTHING WAS AUDITED"),
        ([], False, 3, "NOTHING WAS AUDITED"),
    ],
)
def test_the_verdict_of_an_audit(packages: list[Any], if_reachable: bool, code: int, word: str) -> None:
    found, words = audit.verdict({"dependencies": packages}, if_reachable=if_reachable)
    assert found == code
    assert word in words
