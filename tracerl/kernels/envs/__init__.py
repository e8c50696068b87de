"""Envs compiled into the fused engine."""
