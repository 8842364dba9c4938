"""Metadata in the form that each format takes."""

from typing import Any

from PIL import Image, PngImagePlugin
from PIL import TiffImagePlugin as Tiff

from dtir_mm.decoding.exif_block import DESCRIPTIVE, GROUPS
from dtir_mm.decoding.metadata import XMP, Metadata
from dtir_mm.encoding.fitting import KEPT

_INCH = 2


def pillow_options(metadata: Metadata, image_format: str) -> dict[str, Any]:
    """Options of Pillow's ``save`` for a format, such as "PNG"."""
    options = {
        name: getattr(metadata, name)
        for name in KEPT.get(image_format, ())
        if getattr(metadata, name) and name not in ('texts', 'colour_chunks')
    }
    if image_format == 'PNG':
        options['pnginfo'] = _png_info(metadata)
    return options


def tiff_tags(metadata: Metadata) -> Tiff.ImageFileDirectory_v2:
    """Tags of a TIFF file."""
    tags = Tiff.ImageFileDirectory_v2()
    if metadata.exif is not None:
        exif = Image.Exif()
        exif.load(metadata.exif)
        for tag in DESCRIPTIVE:
            if tag in exif:
                tags[tag] = exif[tag]
        for group in GROUPS:
            if values := exif.get_ifd(group):
                tags[group] = values
    if metadata.icc_profile is not None:
        tags[Tiff.ICCPROFILE] = metadata.icc_profile
    if metadata.xmp is not None:
        tags[Tiff.XMP] = metadata.xmp
    if metadata.dpi is not None:
        tags[Tiff.RESOLUTION_UNIT] = _INCH
        tags[Tiff.X_RESOLUTION], tags[Tiff.Y_RESOLUTION] = metadata.dpi
    return tags


def _png_info(metadata: Metadata) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for kind, data in metadata.colour_chunks:
        info.add(kind, data)
    for key, text in metadata.texts:
        info.add_text(key, text)
    if metadata.comment is not None:
        info.add_text('Comment', metadata.comment.decode('latin-1'))
    if metadata.xmp is not None:
        info.add_itxt(XMP, metadata.xmp.decode('utf-8', 'replace'))
    return info
