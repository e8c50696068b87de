"""Search for settings of a run with Optuna, with pruning: ``python -m tracerl.search``."""
