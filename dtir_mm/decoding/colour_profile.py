"""ICC colour profiles of image files: conversion to sRGB."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

_MODES = {'RGB': 'RGB', 'GRAY': 'L', 'CMYK': 'CMYK'}  # ICC colour space: Pillow mode
_KEPT = 8
_SAME = 2
"""Levels of 255. sRGB profiles differ by one or two levels, by rounding and by how they store the
curve; Display P3 and Adobe RGB differ from sRGB by tens."""


class ColourProfile(NamedTuple):
    """A colour profile and the transform from it to sRGB.

    Args:
        name: the profile's description of itself.
        mode: Pillow mode of the images that it applies to: "RGB", "L" or "CMYK".
        transform: transform to sRGB; None if the profile is sRGB.
    """

    name: str
    mode: str
    transform: ImageCms.ImageCmsTransform | None

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Converts an image of this profile's mode to sRGB."""
        if self.transform is None:
            return image
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None, 'only in-place transforms return None'
        return converted


@lru_cache(_KEPT)
def read_profile(profile: bytes) -> ColourProfile:
    """Parses the ICC profile of a file.

    Raises:
        ValueError: it is broken, or not for RGB, grey or CMYK.
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
            flags=ImageCms.Flags.HIGHRESPRECALC,  # without it, dark greys are off by several levels
        )
    except (OSError, KeyError, TypeError, ValueError, ImageCms.PyCMSError) as error:
        raise ValueError(f'no usable colour profile: {error}') from error
    found = ColourProfile(name, mode, transform)
    return found._replace(transform=None) if _is_srgb(found) else found


def _is_srgb(profile: ColourProfile) -> bool:
    if profile.mode != 'RGB':
        return False
    levels = np.linspace(0, 255, 16).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 16, 3)
    converted = np.asarray(profile.to_srgb(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= _SAME
