"""How large a segment definition may be."""

MAX_DEPTH = 16
MAX_CONDITIONS = 200
MAX_LIST = 1_000
MAX_STEPS = 10
MAX_STAGES = 20
MAX_REFERENCES = 10  # segments that ask for one another, in a row
MAX_WRITTEN_OUT = 2_000  # references of a segment, each with all those of what it asks for
MAX_WINDOW_COUNT = 10_000
MAX_NAMES = 100
MAX_CHARACTERS = 256 * 1024  # of everything that is written in one
