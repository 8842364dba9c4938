"""Draws a figure of the paper from runs: `dtir-mm figure`."""

from dtir_mm.commands.figure import main

if __name__ == '__main__':
    main()
