"""Matching: which time step fits a degradation, by which criterion, and how certain that is."""
