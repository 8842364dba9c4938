"""Trains a config: `dtir-mm train`, also under torchrun (dist_train.sh)."""

from dtir_mm.commands.train import main

if __name__ == '__main__':
    main()
