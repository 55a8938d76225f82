"""The settings of links to surveys: the profile service shows the pages, the messenger links to them."""

from headrace.contracts.survey_link import SurveyKeys, SurveyLinks, read_survey_keys
from headrace.runtime.settings import Environment

SURVEY_KEYS = "HEADRACE_SURVEY_KEYS"


def survey_base(env: Environment, profiles_port: int) -> str:
    """Where customers reach the profile service's pages."""
    return env.text("HEADRACE_SURVEY_URL", f"http://127.0.0.1:{profiles_port}").rstrip("/")


def survey_keys(env: Environment) -> SurveyKeys | None:
    """None: there are no links to surveys. Raises SettingsError."""
    given = env.optional(SURVEY_KEYS)
    return read_survey_keys(SURVEY_KEYS, given) if given is not None else None


def survey_links(env: Environment, profiles_port: int) -> SurveyLinks | None:
    """The same as one."""
    keys = survey_keys(env)
    return SurveyLinks(survey_base(env, profiles_port), keys) if keys is not None else None
