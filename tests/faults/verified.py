"""What the segmenter reports when it compares each segment with the second evaluator."""

from collections.abc import Mapping

from tests.faults.evidence import Document
from tests.faults.published import Findings


def check_reports(reports: Mapping[str, Document], everybody: int, findings: Findings) -> int:
    """No membership may be wrong, and all of `everybody` must have been looked at; how many memberships were.

    `reports` are the answers of POST /v1/segments/{id}/verify, by segment.
    """
    for segment, report in reports.items():
        if report["mismatches"]:
            findings.extra(f"verify: {segment}: {report['mismatches']} mismatches: {report['examples'][:1]}")
        if report["checked"] < everybody:
            findings.missing(f"verify: {segment}: {report['checked']} of {everybody} customers checked")
    return sum(report["checked"] for report in reports.values())
