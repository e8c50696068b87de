"""Results of the jobs of a sweep: ``python -m tracerl.sweep DIR``."""
