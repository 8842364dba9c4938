"""The model that comes with the package."""

from importlib.resources import files
from pathlib import Path


def released_model() -> Path:
    """The file of the released model, which ``dtir_mm.apis.load_restorer`` takes.

    Raises:
        FileNotFoundError: it is not in this installation.
    """
    file = Path(str(files('dtir_mm') / 'released' / 'dtir-mm.safetensors'))
    if not file.is_file():
        raise FileNotFoundError(
            f'the released model is not in this installation ({file} is missing): name a '
            f'checkpoint, or install dtir_mm again from a complete checkout'
        )
    return file
