"""Restores images: `dtir-mm restore`."""

from dtir_mm.commands.restore import main

if __name__ == '__main__':
    main()
