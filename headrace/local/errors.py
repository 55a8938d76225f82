"""What can go wrong in `headrace up`, each with one line that says what to do."""

from headrace.contracts.errors import HeadraceError


class LocalError(HeadraceError):
    """Root of the embedded stack's errors; the message is shown to the user as it is."""


class EngineMissing(LocalError):
    """There is no embedded engine for this platform; the message names the URL to set instead."""


class FolderUnusable(LocalError):
    """The data folder cannot be used: not writable, in use, full, or made for another deployment."""


class PortTaken(LocalError):
    """Another process listens on a port that a service needs; the message names the variable to change."""


class StartFailed(LocalError):
    """An engine, a migration or a service did not come up; the message has its last lines."""
