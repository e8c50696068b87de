"""tracerl: online reinforcement learning with spiking networks."""

__version__ = "0.1.0"
