"""Images kept decoded on disk, so that a patch is read without decoding the image around it."""

import hashlib
import os
from pathlib import Path

import numpy as np

from dtir_mm.files import replacing
from dtir_mm.image_io import READER, pixel_count, read_image
from dtir_mm.names import shortened, shown


class DecodedImages:
    """Images as uncompressed arrays in a folder, 3 bytes a pixel, made when they are first read.

    A stored array belongs to one state of one file, and to one way to read it: a file that is
    changed or moved is decoded anew. Deleting the folder loses nothing but time.

    Args:
        folder: where they are kept; a fast local disk.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def read(self, file: str | Path) -> np.ndarray:
        """The image of a file as ``read_image`` gives it, mapped into memory.

        Only the parts that are looked at are read from the disk. Writing to the array changes
        neither file.

        Raises:
            FileNotFoundError, ValueError: see ``read_image``.
            OSError: the folder cannot be written to.
        """
        return np.load(self.store(file), mmap_mode='c')

    def store(self, file: str | Path) -> Path:
        """Decodes a file unless that was done before; gives the file of the array."""
        stored = self.path_of(file)
        if not stored.is_file():
            image = read_image(file)
            with replacing(stored) as temporary, temporary.open('wb') as out:
                np.save(out, image)
        return stored

    def path_of(self, file: str | Path) -> Path:
        """Where the array of an image file is kept, whether or not it is there yet.

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
    """What an image file takes on disk when it is decoded; reads its header alone.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``.
    """
    return 3 * pixel_count(file)
