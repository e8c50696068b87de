"""The fused engine: numba kernels that mirror the torch engine's equations over the same memory."""
