"""``python -m dtir_mm`` is ``dtir-mm``."""

import sys

from dtir_mm.commands import main

if __name__ == '__main__':
    sys.exit(main())
