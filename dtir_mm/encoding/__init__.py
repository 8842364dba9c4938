"""Writes images with 16 bits per channel, alpha and metadata."""
