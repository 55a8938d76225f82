"""`headrace vouchers`: what the messenger says of a file of codes, and a pool's codes in a file."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.cli import voucher_codes
from headrace.cli.client import Refused
from headrace.cli.deployment import Deployment
from headrace.cli.export import NotExported
from headrace.cli.voucher_codes import NoCodes
from tests.unit.cli.json_server import Answer, serving_json

DONE = {"added": 2, "known": 1, "invalid": 0, "problems": []}


class Messenger:
    """Answers every request with `says`; remembers what it was asked."""

    def __init__(self, says: Any = DONE, status: int = 200) -> None:
        self.says = says
        self.status = status
        self.asked: list[tuple[str, str, bytes]] = []
        self.console = Console(file=io.StringIO(), width=200)

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert headers["authorization"] == "Bearer secret"
        self.asked.append((method, target, body))
        return self.status, {}, self.says

    @contextmanager
    def serving(self) -> Iterator[Deployment]:
        with serving_json(self.respond) as url:
            yield Deployment.of({"HEADRACE_MESSENGER_URL": url, "HEADRACE_ADMIN_TOKEN": "secret"})

    def upload(self, file: Path, pool: str = "spring") -> tuple[int, str]:
        with self.serving() as deployment:
            code = voucher_codes.upload(pool, file, deployment, self.console)
        assert isinstance(self.console.file, io.StringIO)
        return code, self.console.file.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "codes.csv"
    found.write_bytes(b"AAA\nBBB\nAAA\n")
    return found


def test_a_file_goes_up_as_it_is(file: Path) -> None:
    messenger = Messenger()
    assert messenger.upload(file) == (0, "2 added, 1 known already, 0 lines without a code\n")
    assert messenger.asked == [("POST", "/v1/vouchers/spring/codes", b"AAA\nBBB\nAAA\n")]


def test_lines_without_a_code_are_told_and_are_an_exit_code(file: Path) -> None:
    problems = [{"line": 3, "reason": "is no code"}]
    code, said = Messenger({**DONE, "invalid": 2, "problems": problems}).upload(file)
    assert code == 1
    assert said.splitlines()[1:] == [f"  {file}:3 is no code", "  and 1 more"]


def test_what_the_messenger_refuses_and_what_cannot_be_read(file: Path, tmp_path: Path) -> None:
    refusal = {
        "success": False,
        "code": "not_found",
        "message": "There is no voucher pool 'a/b'; see /v1/vouchers.",
    }
    messenger = Messenger(refusal, 404)
    with pytest.raises(Refused, match="There is no voucher pool"):
        messenger.upload(file, "a/b")
    assert messenger.asked[0][1] == "/v1/vouchers/a%2Fb/codes"
    with pytest.raises(NoCodes, match="cannot read"):
        messenger.upload(tmp_path / "nowhere.csv")


def test_the_codes_come_down_into_a_file_or_the_standard_output(tmp_path: Path) -> None:
    messenger, out, file = Messenger("rows"), io.BytesIO(), tmp_path / "codes.csv"
    with messenger.serving() as deployment:
        voucher_codes.export("spring", deployment, out, status=None, output=None)
        voucher_codes.export("spring", deployment, out, status="redeemed", output=file)
        with pytest.raises(NotExported, match="cannot write"):
            voucher_codes.export("spring", deployment, out, status=None, output=tmp_path / "no" / "where.csv")
    assert out.getvalue() == file.read_bytes() == b'"rows"'
    assert [target for _, target, _ in messenger.asked[:2]] == [
        "/v1/vouchers/spring/codes?format=csv",
        "/v1/vouchers/spring/codes?format=csv&status=redeemed",
    ]
