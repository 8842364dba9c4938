"""Adds the importance of its weights to a checkpoint: `dtir-mm accumulate-importance`."""

from dtir_mm.commands.accumulate_importance import main

if __name__ == '__main__':
    main()
