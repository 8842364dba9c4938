"""Prepares the AlexNet weights of LPIPS: `dtir-mm prepare-lpips`."""

from dtir_mm.commands.prepare_lpips import main

if __name__ == '__main__':
    main()
