"""Base classes that agents share."""
