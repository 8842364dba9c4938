"""The configs that come with dtir_mm, by name: ``setting_a/dtir-unet_scratch_rainy_b16-300k``."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# In the package where it is installed, beside it in a checkout.
FOLDER = next(
    (folder for folder in (_PACKAGE / 'configs', _PACKAGE.parent / 'configs') if folder.is_dir()),
    _PACKAGE / 'configs',
)


def config_names() -> list[str]:
    """The names of the configs: their paths below ``FOLDER``, without ".py" and bases."""
    files = (path.relative_to(FOLDER) for path in FOLDER.rglob('*.py'))
    return sorted(path.with_suffix('').as_posix() for path in files if '_base_' not in path.parts)


def config_name(path: str | Path) -> str:
    """A path as a name, which may be that of no config: without "configs/" and ".py"."""
    return Path(path).as_posix().removeprefix('configs/').removesuffix('.py')


def config_path(path: str | Path) -> Path:
    """A path to a file, or else the file of the config of that name; any other path as it is."""
    name = config_name(path)
    if not os.path.isfile(path) and name in config_names():
        return FOLDER / f'{name}.py'
    return Path(path)
