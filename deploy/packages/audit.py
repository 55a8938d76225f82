"""requirements.lock against the database of known vulnerabilities, with pip-audit.

    python -m deploy.packages.audit LOCK [--if-reachable]

pip-audit says "no known vulnerabilities" also of packages that the database did not answer about, such as behind a
mirror that has packages only. Here these are no success. Exit code 0: all asked, none known. 1: some known. 3: not
all could be asked; with --if-reachable that is 0 when none could, so that CI without a way to the database goes
on."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, USAGE, UNKNOWN = 0, 1, 2, 3
IF_REACHABLE = "--if-reachable"
_PROGRAM = ("pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")

_UNREACHABLE = "The database of vulnerabilities cannot be asked from here: NOTHING WAS AUDITED."


def verdict(report: Mapping[str, Any], *, if_reachable: bool) -> tuple[int, str]:
    """Exit code and words for pip-audit's JSON; an empty report is one that it could not make."""
    packages = report.get("dependencies", [])
    asked = [package for package in packages if "skip_reason" not in package]
    found = [_flaw(package, flaw) for package in asked for flaw in package["vulns"]]
    if found:
        return VULNERABLE, "\n".join([*found, "Raise these: make lock ARGS=--upgrade, or name a version."])
    if asked and len(asked) == len(packages):
        return CLEAN, f"{len(asked)} packages, no known vulnerability"
    if not asked:
        return CLEAN if if_reachable else UNKNOWN, _UNREACHABLE
    silent = [package["name"] for package in packages if "skip_reason" in package]
    return UNKNOWN, f"The database did not answer about {len(silent)} packages: {', '.join(sorted(silent))}"


def _flaw(package: Mapping[str, Any], flaw: Mapping[str, Any]) -> str:
    mended = ", ".join(flaw["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}"


def audit(lock: Path) -> dict[str, Any]:
    """pip-audit's report; empty when it could not make one, its words are on standard error then."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "report.json")
        words = (sys.executable, "-m", *_PROGRAM, "--output", str(output), "--requirement", str(lock))
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
        if output.exists() and (text := output.read_text(encoding="utf-8")):
            report: dict[str, Any] = json.loads(text)
            return report
    sys.stderr.write(done.stderr)
    return {}


def main(arguments: Sequence[str]) -> int:
    paths = [word for word in arguments if word != IF_REACHABLE]
    if len(paths) != 1 or not Path(paths[0]).is_file():
        sys.stderr.write(f"give the lock's path, and {IF_REACHABLE} where the database need not be\n")
        return USAGE
    code, words = verdict(audit(Path(paths[0])), if_reachable=IF_REACHABLE in arguments)
    sys.stdout.write(f"{words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
