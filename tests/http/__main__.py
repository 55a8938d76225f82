"""Writes docs/openapi/*.json and docs/http.md from what the services serve: `python -m tests.http [--check]`."""

import json
import sys
from pathlib import Path

from headrace.contracts.generate import run
from tests.http.apps import served_documents
from tests.http.reference import reference


def documents() -> dict[str, str]:
    """The generated files: path in the repository and text. Deterministic."""
    served = served_documents()
    texts = {
        f"docs/openapi/{name}.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for name, document in served.items()
    }
    return {**texts, "docs/http.md": reference(served)}


if __name__ == "__main__":
    sys.exit(run(documents(), ("docs/openapi",), sys.argv[1:], Path.cwd()))
