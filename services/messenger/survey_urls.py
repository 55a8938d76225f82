"""The template variable `survey_url`: a link to each survey, made when a template asks for it. Pure."""

import re
from collections.abc import Sequence

from headrace.contracts.errors import HeadraceError
from headrace.contracts.survey_link import SurveyLinks

_SURVEY_ID = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


def names_survey(segments: Sequence[object]) -> bool:
    """Whether a template's path from `survey_url` on may lead to a link: what it is made from is not known yet."""
    wanted = segments[1] if len(segments) == 2 else None
    return wanted is not None and (not isinstance(wanted, str) or _SURVEY_ID.fullmatch(wanted) is not None)


def without_token(target: str, links: SurveyLinks | None) -> str:
    """The address as others may see it: who has a survey's link can answer for the customer."""
    page = f"{links.base}/s/" if links is not None else None
    if page is None or not target.startswith(page):
        return target
    return page + "".join(target.removeprefix(page).split(".")[1:2])


class NoSurveyKeys(HeadraceError):
    """A template links to a survey and there is no key to sign the link: set HEADRACE_SURVEY_KEYS."""


class SurveyUrls:
    """`survey_url["coffee-taste"]` is the customer's link to that survey. Raises NoSurveyKeys: a message without
    its link must not be sent."""

    def __init__(self, links: SurveyLinks | None, profile_id: str) -> None:
        self._links = links
        self._profile_id = profile_id

    def __getitem__(self, survey_id: object) -> str:
        if not isinstance(survey_id, str) or not _SURVEY_ID.fullmatch(survey_id):
            raise KeyError(survey_id)
        if self._links is None:
            raise NoSurveyKeys("no key to sign links to surveys")
        return self._links.to(survey_id, self._profile_id)

    def __str__(self) -> str:
        return ""  # the variable without a survey's id is nothing
