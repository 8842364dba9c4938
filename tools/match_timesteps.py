"""Finds the matching time step of degradations: `dtir-mm match`."""

from dtir_mm.commands.match_timesteps import main

if __name__ == '__main__':
    main()
