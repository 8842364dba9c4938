"""Checks the data sets of a config: `dtir-mm check-data`."""

import sys

from dtir_mm.commands.check_data import main

if __name__ == '__main__':
    sys.exit(main())
