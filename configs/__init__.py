"""The Hydra tree of tracerl: one folder per group, one yaml per choice."""
