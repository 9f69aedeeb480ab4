"""Django's command line, which says in one sentence where a setting cannot be read."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> int:
    """Run one of Django's commands. Gives 0, or ``os.EX_CONFIG`` after a sentence about the setting; a command that
    fails ends the process itself."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(f"costhub: {error}", file=sys.stderr)
        return os.EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
