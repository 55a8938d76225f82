"""Fixtures of the deployment's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import image_short
from tests.deploy.image_build import Build
from tests.deploy.image_container import Image
from tests.deploy.image_dockerfile import parse
from tests.deploy.image_ignore import patterns
from tests.deploy.image_root import why_not

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image that deploy/Dockerfile makes of this checkout."""
    if reason := why_not():
        pytest.skip(f"the image cannot be built without Docker here: {reason}")
    stages = parse((ROOT / "deploy/Dockerfile").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="headrace-image-") as folder:
        let_in = patterns((ROOT / ".dockerignore").read_text(encoding="utf-8"))
        root = Build(ROOT, let_in, Path(folder), image_short.instead()).run(stages)
        yield Image(root, stages[-1])
