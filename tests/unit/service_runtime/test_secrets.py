"""Every secret may come from a file (`NAME_FILE`), for every process that reads it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.cli.deployment import Deployment
from headrace.contracts.errors import SettingsError
from headrace.local.settings import up_settings
from headrace.runtime.settings import Environment
from services.ingest.settings import load_settings as ingest
from services.messenger.settings import read_settings as messenger
from services.profiles.settings import read_settings as profiles
from services.segmenter.settings import read_settings as segmenter
from tests.unit.repository.tree import texts

SECRETS = {
    "HEADRACE_ADMIN_TOKEN": "the-admin-token",
    "HEADRACE_DATABASE_URL": "postgresql://headrace:s3cret@db/headrace",
    "HEADRACE_EMAIL_URL": "smtp://user:s3cret@mail:587?from=shop@shop.test",
    "HEADRACE_HOOK_TOKEN": "the-hook-token",
    "HEADRACE_LOG_URL": "kafka://headrace:s3cret@kafka:9093?tls=true",
    "HEADRACE_OTLP_ENDPOINT": "http://collector:4318",  # no secret, but without it the headers are not read
    "HEADRACE_OTLP_HEADERS": "authorization=Bearer s3cret",
    "HEADRACE_REDIS_URL": "rediss://headrace:s3cret@redis:6379/0",
    "HEADRACE_SMS_URL": "twilio://AC1:s3cret@api.twilio.com?from=%2B420601000001",
    "HEADRACE_SOURCES": '{"web-write-key": {"source": "web"}}',
    "HEADRACE_SUPPRESSION_KEY": "a long random text",
    "HEADRACE_SURVEY_KEYS": "1:" + "ab" * 32,
    "HEADRACE_VIBER_URL": "bulkgate://1:s3cret@portal.bulkgate.com?sender=gText:Shop&viber=Shop",
    "HEADRACE_WEBHOOK_SECRET": "whsec_" + "YWJj" * 8,
    "HEADRACE_WHATSAPP_URL": "whatsapp://1:s3cret@graph.facebook.com?app_secret=x&verify_token=y",
    "HEADRACE_WRITE_KEY": "the-write-key",
}
NO_SECRETS = {"HEADRACE_IMPORT_KEY"}
READERS: list[Callable[[Environment], object]] = [ingest, profiles, segmenter, messenger]


def files(folder: Path) -> dict[str, str]:
    found = {}
    for name, value in SECRETS.items():
        path = folder / name.lower()
        path.write_text(value + "\n", encoding="utf-8")
        found[f"{name}_FILE"] = str(path)
    return found


@pytest.mark.parametrize("read", READERS, ids=["ingest", "profiles", "segmenter", "messenger"])
def test_a_service_reads_the_same_from_files(read: Callable[[Environment], object], tmp_path: Path) -> None:
    assert repr(read(Environment(files(tmp_path)))) == repr(read(Environment(SECRETS)))
    assert read(Environment(files(tmp_path))) == read(Environment(SECRETS))


def test_up_and_the_command_too(tmp_path: Path) -> None:
    one, other = up_settings(files(tmp_path)), up_settings(SECRETS)
    for name in ("write_key", "admin_token", "log_url", "database_url", "redis_url"):
        assert getattr(one, name) == getattr(other, name)
    deployment = Deployment.of(files(tmp_path))
    assert deployment.admin_token() == SECRETS["HEADRACE_ADMIN_TOKEN"]
    assert deployment.write_key() == SECRETS["HEADRACE_WRITE_KEY"]


def test_no_setting_that_sounds_like_a_secret_is_missing_here() -> None:
    code = "\n".join(text for path, text in texts().items() if re.match(r"(headrace|services)/.*\.py$", path))
    sounding = set(re.findall(r"\bHEADRACE_[A-Z_]*(?:TOKENS?|KEYS?|SECRETS?|PASSWORDS?|HEADERS)\b", code))
    assert sorted(sounding - set(SECRETS) - NO_SECRETS) == []


def test_nobody_reads_the_environment_past_it() -> None:
    """Else NAME_FILE would not count there."""
    direct = re.compile(r"os\.environ\[|os\.environ\.get\(\"HEADRACE|getenv\(")
    found = [path for path, text in texts().items() if path.startswith(("headrace/", "services/"))]
    assert [path for path in found if direct.search(texts()[path])] == []


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_an_error_and_not_a_default(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="HEADRACE_HOOK_TOKEN_FILE"):
        Environment({"HEADRACE_HOOK_TOKEN_FILE": str(path)}).optional("HEADRACE_HOOK_TOKEN")


def test_what_a_receiver_of_traces_wants_is_read_and_not_shown() -> None:
    tracing = ingest(Environment(SECRETS)).common.tracing
    assert tracing is not None
    assert tracing.headers == {"authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(tracing)


@pytest.mark.parametrize("read", READERS, ids=["ingest", "profiles", "segmenter", "messenger"])
def test_no_secret_is_in_what_settings_show_of_the_guard(read: Callable[[Environment], object]) -> None:
    shown = repr(getattr(read(Environment(SECRETS)), "guard"))  # noqa: B009
    assert "s3cret" not in shown
