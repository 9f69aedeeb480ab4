"""Django's command line, for the app role of the database."""

import sys

from costhub.manage import main

if __name__ == "__main__":
    sys.exit(main())
