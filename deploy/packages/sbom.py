"""The bill of materials of what runs: requirements.lock as a CycloneDX 1.6 document (JSON), on standard output.

    python -m deploy.packages.sbom LOCK [run]

With `run`, only what the image has. The same lock gives the same bytes: no time, no random serial number; its
serial number comes from its content, as CycloneDX allows (a UUID of RFC 9562, version 5)."""

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.packages.image import part
from deploy.packages.lock import LockError, Pin, read_lock
from headrace import __version__

_SERIAL = uuid.UUID("9d4f6c1e-2f0b-5f0a-8f57-3f1f6a0c6b51")
_ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_ROOT = f"pkg:pypi/headrace@{__version__}"


def sbom(pins: Sequence[Pin]) -> dict[str, Any]:
    """The document. A component's hashes are those of its distribution files, any of which pip may install."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": _ROOT,
                "name": "headrace",
                "version": __version__,
                "purl": _ROOT,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_component(pin) for pin in pins],
        "dependencies": _dependencies(pins),
    }
    serial = uuid.uuid5(_SERIAL, json.dumps(document, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "serialNumber": f"urn:uuid:{serial}",
    } | document


def purl(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def _component(pin: Pin) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(pin),
        "name": pin.name,
        "version": pin.version,
        "purl": purl(pin),
        "scope": "required",
        # one component has one hash of a kind, so each file is a reference of its own
        "externalReferences": [
            {"type": "distribution", "url": purl(pin), "hashes": [{"alg": _ALGORITHMS[kind], "content": value}]}
            for kind, value in pin.hashes
        ],
    }
    if pin.marker:
        component["scope"] = "optional"
        component["properties"] = [{"name": "headrace:marker", "value": pin.marker}]
    return component


def _dependencies(pins: Sequence[Pin]) -> list[dict[str, Any]]:
    """Who needs whom; parents that are left out are left out."""
    needs: dict[str, list[str]] = {_ROOT: [], **{purl(pin): [] for pin in pins}}
    by_name = {pin.name: purl(pin) for pin in pins}
    for pin in pins:
        if pin.groups:
            needs[_ROOT].append(purl(pin))
        for parent in pin.wanted_by:
            if parent in by_name:
                needs[by_name[parent]].append(purl(pin))
    return [{"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(needs.items())]


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (1, 2) or arguments[1:] not in ([], ["run"]):
        sys.stderr.write("give the lock's path, and run for what the image has\n")
        return 2
    try:
        pins: Sequence[Pin] = read_lock(Path(arguments[0]).read_text(encoding="utf-8"))
        pins = part(pins, "run") if arguments[1:] else pins
    except (LockError, OSError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    sys.stdout.write(json.dumps(sbom(pins), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
