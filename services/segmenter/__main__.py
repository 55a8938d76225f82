"""`python -m services.segmenter`: run the service; with the argument `migrate`, bring its schema up to date."""

import sys

from services.segmenter.main import main

sys.exit(main(sys.argv[1:]))
