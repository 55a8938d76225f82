"""The examples that come with Headrace, wherever it is installed."""

from pathlib import Path

import headrace


def example(name: str) -> Path:
    """An example's file: from the installed package, or from the source tree beside it."""
    package = Path(headrace.__file__).parent
    installed = package / "_examples" / name
    return installed if installed.exists() else package.parent / "examples" / name
