"""Checkpoints: the state of a running life in a folder that survives kills, full disks, bit rot and hostile files."""
