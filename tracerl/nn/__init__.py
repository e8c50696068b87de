"""Spiking networks: everything that is a tensor with a lifetimes axis."""
