"""Environments: one own env or wrapper per file, and the settings that make one."""
