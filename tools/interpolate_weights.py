"""Writes a checkpoint between two (WiSE-FT): `dtir-mm interpolate-weights`."""

from dtir_mm.commands.interpolate_weights import main

if __name__ == '__main__':
    main()
