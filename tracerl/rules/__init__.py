"""Learning rules: what is remembered of each parameter, and what scalar it is multiplied by."""
