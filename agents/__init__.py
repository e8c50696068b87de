"""The agents: one per file, each chosen by name with ``agent=``."""
