"""`python -m imitate` is the imitate command."""

import sys

from imitate.cli.main import main

sys.exit(main())
