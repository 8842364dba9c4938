"""Writes a page about runs: `dtir-mm report`."""

from dtir_mm.commands.report import main

if __name__ == '__main__':
    main()
