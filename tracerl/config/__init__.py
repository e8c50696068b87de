"""Compose settings with Hydra, check them and build the objects that they name."""
