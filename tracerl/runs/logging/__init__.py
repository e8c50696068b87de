"""Logs of a run: episodes, TensorBoard and the progress bar."""
