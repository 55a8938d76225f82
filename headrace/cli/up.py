"""`headrace up`: the whole platform on this machine, embedded engines unless URLs are set."""

import contextlib
import os
import sys

from headrace.contracts.errors import HeadraceError
from headrace.local.services import installed_services
from headrace.local.settings import up_settings
from headrace.local.up import run_up


def up() -> int:
    """Run until stopped; the exit code. What goes wrong is one line on standard error."""
    try:
        run_up(up_settings(os.environ), installed_services())
    except (HeadraceError, OSError) as error:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):  # nobody reads any more
                sys.stderr.write(f"headrace: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
