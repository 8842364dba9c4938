"""Photographs for the demos: where they come from, and how they are made ready to train on."""
