"""Prints the environment and its problems: `dtir-mm check-env`."""

import sys

from dtir_mm.commands.check_env import main

if __name__ == '__main__':
    sys.exit(main())
