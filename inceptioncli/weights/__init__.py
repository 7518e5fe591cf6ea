"""Weights: which there are, where they are, and what is in them."""
