"""Bad input at every door of a running platform, by `python -m tests.fuzz`. Nothing may crash or answer 5xx, and
no good event may be lost or doubled."""
