"""Which program renders: a new enough one that is there, else one that Go makes, else a clear word."""

from pathlib import Path

import pytest

from tests.deploy import kustomize
from tests.deploy.kustomize import NoKustomize, renderer


def program(folder: Path, name: str, body: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH. What is made goes into `tools` below it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kustomize, "TOOLS", tmp_path / "tools")
    return tmp_path


def test_a_new_kubectl_is_taken(folder: Path) -> None:
    kubectl = program(folder, "kubectl", """echo '{"kustomizeVersion": "v5.5.0"}'""")
    assert renderer() == (kubectl, "kustomize")


@pytest.mark.parametrize(
    "said", ["""echo '{"kustomizeVersion": "v4.5.7"}'""", """echo '{"clientVersion": {}}'""", "exit 1"]
)
def test_an_old_kubectl_is_not(folder: Path, said: str) -> None:
    program(folder, "kubectl", said)
    own = program(folder, "kustomize", "echo v5.8.1")
    assert renderer() == (own, "build")


def test_one_that_go_makes_is_made_and_taken(folder: Path) -> None:
    program(folder, "kustomize", "echo '{Version:kustomize/v3.8.7 GitCommit:x}'")
    program(
        folder,
        "go",
        'test "$1" = install && /bin/mkdir -p "$GOBIN" && echo "#!/bin/sh\necho v5.8.1" > "$GOBIN/kustomize"'
        ' && /bin/chmod +x "$GOBIN/kustomize" && echo "$2" > "$GOBIN/asked"',
    )
    made = str(folder / "tools/kustomize")
    assert renderer() == (made, "build")
    assert (folder / "tools/asked").read_text().strip() == kustomize.MODULE
    (folder / "go").unlink()
    assert renderer() == (made, "build")  # it is there now


def test_without_any_the_error_says_what_to_install(folder: Path) -> None:
    with pytest.raises(NoKustomize, match=r"install kubectl 1\.27 or newer, or kustomize 5 .* or Go 1\.24"):
        renderer()


def test_a_go_that_cannot_is_quoted(folder: Path) -> None:
    program(folder, "go", "echo 'go: module requires go >= 1.24' >&2; exit 1")
    with pytest.raises(NoKustomize, match=r"install kubectl .* Go said: go: module requires go >= 1\.24"):
        renderer()
