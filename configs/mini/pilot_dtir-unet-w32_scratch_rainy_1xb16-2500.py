"""Pilot, baseline: the same 2500 updates from random weights, reconstruction loss only."""

_base_ = './pilot_dtir-unet-w32_naive_rainy_1xb16-2500.py'
load_from = None
