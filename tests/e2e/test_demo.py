"""`headrace demo` runs by itself, without a terminal, and shows what it says."""

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.embedded
def test_the_demo_ends_well_within_its_time() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    done = subprocess.run(
        (sys.executable, "-m", "headrace.cli.main", "demo"),
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CC BY 4.0" in done.stdout
    entered = re.findall(r"^  entered two-orders +(\S+)$", done.stdout, re.MULTILINE)
    texts = re.findall(r"^  SMS to (\S+): ", done.stdout, re.MULTILINE)
    assert len(entered) == len(set(entered)) == len(texts) == len(set(texts)) > 20
    assert f"{len(texts)} customers came back, and each of them got exactly one SMS." in done.stdout
