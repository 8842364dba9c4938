"""Puts this folder on the path, so that tests in subfolders can import its ``*_cases``."""
