"""No route of the segmenter or the profile service stands open by oversight."""

from headrace.runtime.engine import async_engine
from headrace.runtime.metrics import Metrics
from headrace.runtime.republish import republish_router
from services.profiles import access as profiles_access
from services.profiles.api import build_api
from services.profiles.reads import Profiles
from services.segmenter import access as segmenter_access
from tests.e2e.profiles_rig import NOWHERE, SUPPRESSOR, profiles_rig
from tests.e2e.segmenter_rig import segmenter_rig
from tests.guarded import check_routes


async def test_every_route_of_the_segmenter_asks_for_a_scope(
    database_url: str, redis_url: str, log_url: str, topic_prefix: str
) -> None:
    async with (
        segmenter_rig(database_url, redis_url, log_url, topic_prefix=topic_prefix) as rig,
        rig.segmenter() as running,
    ):
        check_routes(running.service.app, segmenter_access.RULES, public={"GET /v1/schemas/segment"})


async def test_every_route_of_the_profile_service_asks_for_a_scope(
    database_url: str, log_url: str, topic_prefix: str
) -> None:
    async with profiles_rig(database_url, log_url, topic_prefix=topic_prefix) as rig:
        engine = async_engine(database_url, schema="profiles")
        app = build_api(
            rig.settings,
            pool=rig.pool,
            profiles=Profiles(engine),
            wake=lambda partitions: None,
            suppressor=SUPPRESSOR,
            elsewhere=NOWHERE,
            metrics=Metrics("profiles"),
            checks={},
        )
        app.include_router(republish_router(lambda partition: None, partitions=1))
        check_routes(app, profiles_access.RULES, public={"GET /s/{token}", "POST /s/{token}"})
        await engine.dispose()
