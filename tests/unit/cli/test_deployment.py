"""Where commands find the services and the keys."""

import json
from pathlib import Path

import pytest

from headrace.cli.deployment import Deployment
from headrace.contracts.errors import SettingsError


def test_without_settings_it_is_the_local_up(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text(json.dumps({"admin_token": "a", "write_key": "w"}))
    deployment = Deployment.of({"HEADRACE_DATA_DIR": str(tmp_path)})
    assert deployment.url("segmenter") == "http://127.0.0.1:8082"
    assert (deployment.admin_token(), deployment.write_key()) == ("a", "w")


def test_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text(json.dumps({"admin_token": "a", "write_key": "w"}))
    deployment = Deployment.of(
        {
            "HEADRACE_DATA_DIR": str(tmp_path),
            "HEADRACE_ADMIN_TOKEN": "b",
            "HEADRACE_INGEST_URL": "https://cdp.example.com/",
            "HEADRACE_PROFILES_PORT": "9999",
        }
    )
    assert deployment.admin_token() == "b"
    assert deployment.url("ingest") == "https://cdp.example.com"
    assert deployment.url("profiles") == "http://127.0.0.1:9999"


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_missing_key_says_what_to_set(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "deployment.json").write_text(content)
    with pytest.raises(SettingsError, match="no admin token: set HEADRACE_ADMIN_TOKEN"):
        Deployment.of({"HEADRACE_DATA_DIR": str(tmp_path)}).admin_token()
