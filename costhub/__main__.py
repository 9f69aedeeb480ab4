"""`python -m costhub` is `costhub`."""

import sys

from costhub.cli import main

sys.exit(main())
