"""Writes a restorer at one time step as a plain network: `dtir-mm deploy`."""

from dtir_mm.commands.deploy import main

if __name__ == '__main__':
    main()
