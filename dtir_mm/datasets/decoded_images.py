"""A cache of decoded images on disk, so that reading a patch needs no decoding."""

import hashlib
import os
from pathlib import Path

import numpy as np

from dtir_mm.files import replacing
from dtir_mm.image_io import READER, pixel_count, read_image
from dtir_mm.names import shortened, shown


class DecodedImages:
    """Images as uncompressed arrays in a folder, 3 bytes per pixel, created on first use.

    An array is identified by the path, size and modification time of the file and the version of
    the reader; changed or moved files are decoded again. The folder can be deleted at any time.

    Args:
        folder: folder of the arrays, on a fast local disk.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def read(self, file: str | Path) -> np.ndarray:
        """The image of a file as ``read_image`` returns it, memory-mapped.

        Only the parts accessed are read from disk. Writing to the array changes no file.

        Raises:
            FileNotFoundError, ValueError: see ``read_image``.
            OSError: the folder cannot be written to.
        """
        return np.load(self.store(file), mmap_mode='c')

    def store(self, file: str | Path) -> Path:
        """Decodes a file unless it is stored; returns the path of the array."""
        stored = self.path_of(file)
        if not stored.is_file():
            image = read_image(file)
            with replacing(stored) as temporary, temporary.open('wb') as out:
                np.save(out, image)
        return stored

    def path_of(self, file: str | Path) -> Path:
        """The path of an image's array, whether or not it exists.

        Raises:
            FileNotFoundError: there is no such image.
        """
        path = Path(file).resolve()
        if not path.is_file():
            raise FileNotFoundError(f'no such image file: {shown(file)}')
        stat = path.stat()
        state = f'{path}:{stat.st_size}:{stat.st_mtime_ns}:{READER}'
        mark = hashlib.sha256(os.fsencode(state)).hexdigest()
        return self.folder / f'{shortened(path.stem)}_{mark[:16]}.npy'


def decoded_bytes(file: str | Path) -> int:
    """Bytes on disk of a decoded image; reads only the header.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """
    return 3 * pixel_count(file)
