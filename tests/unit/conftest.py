"""Property tests here have no deadline for one example: a machine that is busy is no bug."""

from hypothesis import settings

settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
