"""Tests a checkpoint: `dtir-mm test`, also under torchrun (dist_test.sh)."""

from dtir_mm.commands.test import main

if __name__ == '__main__':
    main()
