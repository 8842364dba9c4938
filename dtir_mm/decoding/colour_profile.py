"""Colours of a file's ICC profile (a camera's, a printer's) to those of sRGB."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

_MODES = {'RGB': 'RGB', 'GRAY': 'L', 'CMYK': 'CMYK'}  # ICC colour space: Pillow mode
_KEPT = 8
_SAME = 2
"""Of 255. Two profiles of sRGB differ by a level or two, in rounding and in how they store the
curve; between Display P3 or Adobe RGB and sRGB it is tens."""


class ColourProfile(NamedTuple):
    """What is to be done with colours of a profile.

    Args:
        name: as the profile calls itself.
        mode: of the Pillow images whose colours it describes: "RGB", "L" or "CMYK".
        transform: to RGB; None for a profile of sRGB itself.
    """

    name: str
    mode: str
    transform: ImageCms.ImageCmsTransform | None

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """The image, of this profile's mode, in sRGB."""
        if self.transform is None:
            return image
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None, 'only in-place transforms return None'
        return converted


@lru_cache(_KEPT)
def read_profile(profile: bytes) -> ColourProfile:
    """The profile in a file.

    Raises:
        ValueError: it is broken, or describes other than RGB, grey or CMYK.
    """
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[opened.profile.xcolor_space.strip()]
        name = ImageCms.getProfileDescription(opened).strip() or 'unnamed'
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile('sRGB'),
            mode,
            'RGB',
            flags=ImageCms.Flags.HIGHRESPRECALC,  # otherwise dark greys are levels off
        )
    except (OSError, KeyError, TypeError, ValueError, ImageCms.PyCMSError) as error:
        raise ValueError(f'no colour profile that can be used: {error}') from error
    found = ColourProfile(name, mode, transform)
    return found._replace(transform=None) if _is_srgb(found) else found


def _is_srgb(profile: ColourProfile) -> bool:
    if profile.mode != 'RGB':
        return False
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 16, 3)
    converted = np.asarray(profile.to_srgb(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= _SAME
