"""deploy/Dockerfile and .dockerignore as text: what stays out of the build, and what the image promises."""

import re
from collections.abc import Callable

import pytest

from headrace.local.services import SERVICES
from tests.deploy.conftest import ROOT
from tests.deploy.image_dockerfile import Stage, parse, substitute
from tests.deploy.image_ignore import ignored, patterns

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
IGNORE = patterns((ROOT / ".dockerignore").read_text(encoding="utf-8"))
COPIED = [word for item in parse(DOCKERFILE)[0].all("COPY") for word in item.words()[:-1]]


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_is_let_in(source: str) -> None:
    path = ROOT / source
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    names = [item.relative_to(ROOT).as_posix() for item in files]
    wanted = [name for name in names if "__pycache__" not in name and "/.headrace/" not in name]
    assert wanted
    assert [name for name in wanted if ignored(name, IGNORE)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".headrace/deployment.json",
        ".venv/bin/python",
        ".git/config",
        ".ci/run",
        "deploy/secrets/admin-token",
        "deploy/compose.yaml",
        "headrace/__pycache__/x.cpython-313.pyc",
        "examples/.headrace/deployment.json",
        "requirements-dev.lock",
        "tests/conftest.py",
        "notes.env",
    ],
)
def test_what_is_secret_or_of_no_use_stays_out(path: str) -> None:
    assert ignored(path, IGNORE)


@pytest.mark.parametrize(
    ("path", "given", "out"),
    [
        ("a/b", ["a"], True),
        ("a/b", ["*", "!a"], False),
        ("a/b/c", ["*", "!a/b"], False),
        ("a/d", ["*", "!a/b"], True),
        ("a/b", ["!a", "*"], True),
        ("x/y/z.pyc", ["**/*.pyc"], True),
        ("z.pyc", ["**/*.pyc"], True),
        ("x/z.pyc", ["*.pyc"], False),
        ("ab", ["a?"], True),
        ("a.b", ["axb"], False),
    ],
)
def test_the_rules_of_dockerignore(path: str, given: list[str], out: bool) -> None:
    assert ignored(path, given) is out


def test_a_dockerfile_is_read() -> None:
    text = (
        'ARG BASE=a:1\n# no\nFROM ${BASE} AS one\nENV A=1 \\\n# between\n    B="$A 2"\n\n'
        'FROM b\nCOPY --from=one /x /y\nCMD ["p"]\n'
    )
    one, two = parse(text)
    assert (one.base, one.name, two.base, two.name) == ("a:1", "one", "b", "")
    assert one.environment({"PATH": "/bin"}) == {"PATH": "/bin", "A": "1", "B": " 2"}
    copy, command = two.instructions
    assert (copy.word, copy.flags, copy.words(), copy.line) == ("COPY", {"from": "one"}, ["/x", "/y"], 9)
    assert command.words() == ["p"]
    with pytest.raises(ValueError, match="line 1: RUN stands before FROM"):
        parse("RUN x\n")
    assert substitute("$A${B}$C", {"A": "1", "B": "2"}) == "12"


def problems(stages: list[Stage]) -> list[str]:
    """What an operator is promised and is not so."""
    last = stages[-1]
    found = [
        f"{stage.base} is no image with a version"
        for stage in stages
        if not re.search(r":\d+\.\d+-slim-", stage.base)
    ]
    if last.last("USER").text != "10001:10001":
        found.append("it does not run as 10001")
    if not last.last("ENTRYPOINT").text.startswith("["):
        found.append("a shell stands between the signals and the service")
    if last.last("ENTRYPOINT").words() != ["headrace"] or last.last("CMD").words()[0] != "serve":
        found.append("it is not the command")
    if any("apt-get" in run.text or "gcc" in run.text for stage in stages for run in stage.all("RUN")):
        found.append("it installs more than the lock has")
    installs = [run.text for stage in stages for run in stage.all("RUN") if "--requirement" in run.text]
    if any(
        text.count("--require-hashes") != text.count("pip install") + text.count("python install")
        for text in installs
    ):
        found.append("packages are installed without their hashes")
    if [copy for copy in last.all("COPY") if copy.flags.get("from") != "build"]:
        found.append("files come from outside the first stage")
    ports = {str(service.port) for service in SERVICES if service.name != "console"}
    if set(last.last("EXPOSE").words()) != ports:
        found.append("ports of the services are not those it names")
    if last.environment({})["HEADRACE_DATA_DIR"] != last.last("VOLUME").words()[0]:
        found.append("data is not in the volume")
    return found


def test_the_image_is_what_it_promises() -> None:
    assert problems(parse(DOCKERFILE)) == []


CHANGES: dict[str, Callable[[str], str]] = {
    "no version": lambda text: text.replace("python:3.13-slim-trixie\n", "python:latest\n"),
    "root": lambda text: text.replace("USER 10001:10001", "USER root"),
    "a shell": lambda text: text.replace('ENTRYPOINT ["headrace"]', "ENTRYPOINT headrace"),
    "no hashes": lambda text: text.replace("--require-hashes", "", 1),
    "a compiler": lambda text: text.replace("RUN groupadd", "RUN apt-get install gcc && groupadd"),
    "files from outside": lambda text: text.replace("COPY --from=build", "COPY"),
    "another port": lambda text: text.replace("EXPOSE 8080", "EXPOSE 80"),
    "data elsewhere": lambda text: text.replace("HEADRACE_DATA_DIR=/var/lib", "HEADRACE_DATA_DIR=/srv"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_broken_promise_is_found(what: str) -> None:
    assert problems(parse(CHANGES[what](DOCKERFILE)))
