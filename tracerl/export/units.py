"""Convert decays per tick to NIR's time constants, and >= to > at the threshold.

A NIR neuron (https://neuroir.org/docs/primitives.html) obeys, with v_leak = 0 and v_reset = 0,

    tau dv/dt = -v + R I        z = [v > v_threshold]        v = 0 where z

and simulators with a clock of period dt take the forward Euler step of it,

    v_t = (1 - dt/tau) v_{t-1} + (dt/tau) R I_t

which is tracerl's u_t = m v_{t-1} + (1-m) I_t for R = 1 and tau = dt / (1-m). Nothing is approximated: dt has no
meaning of its own in tracerl, and tau is such that a step of dt is one tick.
"""

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

DT = 1e-4  # default of seconds per tick, as assumed by snnTorch's reader


def time_constant(decay: Tensor, dt: float) -> Array:
    """Return tau = dt / (1 - decay) in seconds, float64, so that the decay is restored bit-identically."""
    found: Array = dt / (1 - decay.double().numpy())
    return found


def decay_of(tau: Array, dt: float) -> Array:
    """Return the decay per tick of a time constant, 1 - dt / tau: float64."""
    found: Array = 1 - dt / tau
    return found


def threshold_below(threshold: Tensor) -> Array:
    """Return the largest number below each threshold, in its dtype, so that u >= theta equals u > this number."""
    below = torch.nextafter(threshold, torch.full_like(threshold, -torch.inf))
    found: Array = below.double().numpy()
    return found


def threshold_above(threshold: Array, dtype: torch.dtype) -> Tensor:
    """Return the smallest number above each threshold, in a dtype: the inverse of ``threshold_below``."""
    values = torch.from_numpy(np.asarray(threshold, np.float64)).to(dtype)
    return torch.nextafter(values, torch.full_like(values, torch.inf))
