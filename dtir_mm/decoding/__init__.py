"""Converts decoded images of any mode to RGB uint8 in sRGB."""
