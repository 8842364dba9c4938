"""Opens a local page to restore photographs on: `dtir-mm demo`."""

from dtir_mm.commands.demo import main

if __name__ == '__main__':
    main()
