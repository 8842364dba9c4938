"""Writes images with 16 bits a channel, alpha and metadata."""
