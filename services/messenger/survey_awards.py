"""Which pool a completed survey awards a code of. Pure."""

from collections.abc import Mapping
from typing import Any

SURVEY_COMPLETED = "Survey Completed"
SURVEY_SOURCE = "headrace.survey"
"""Of what the survey's own page writes: nobody else awards anything."""


def awarded(event: str | None, source: str, properties: Any) -> tuple[str, str] | None:
    """(survey id, pool id), when the event is a survey's end with a voucher as award."""
    if event != SURVEY_COMPLETED or source != SURVEY_SOURCE or not isinstance(properties, Mapping):
        return None
    award = properties.get("award")
    survey = properties.get("survey")
    pool = award.get("voucher") if isinstance(award, Mapping) else None
    return (survey, pool) if isinstance(survey, str) and isinstance(pool, str) else None
