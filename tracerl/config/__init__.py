"""Settings of a user: checked, composed by Hydra, turned into the objects that they name."""
