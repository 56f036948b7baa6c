"""`python -m ikescope`."""

import sys

from ikescope.cli import main

sys.exit(main())
