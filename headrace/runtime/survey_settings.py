"""The settings of links to surveys: the profile service shows the pages, the messenger links to them."""

from headrace.contracts.survey_link import SurveyLinks, read_survey_keys
from headrace.runtime.settings import Environment

SURVEY_KEYS = "HEADRACE_SURVEY_KEYS"


def survey_links(env: Environment, profiles_port: int) -> SurveyLinks | None:
    """None without keys: there are no links then. Raises SettingsError."""
    keys = env.optional(SURVEY_KEYS)
    if keys is None:
        return None
    base = env.text("HEADRACE_SURVEY_URL", f"http://127.0.0.1:{profiles_port}")
    return SurveyLinks(base.rstrip("/"), read_survey_keys(SURVEY_KEYS, keys))
