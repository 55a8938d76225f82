"""`python -m services.ingest`: run the service."""

import sys

from services.ingest.main import main

sys.exit(main(sys.argv[1:]))
