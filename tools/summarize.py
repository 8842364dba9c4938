"""Joins the results of several tests: `dtir-mm summarize`."""

from dtir_mm.commands.summarize import main

if __name__ == '__main__':
    main()
