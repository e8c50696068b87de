"""Eligibilities and traces, updated in place, and the td error, for one time step."""

import torch
from torch import Tensor


def carry_sensitivity_(sensitivity: Tensor, leak: Tensor, drive: Tensor) -> Tensor:
    """Advance d u_t / d parameter, in place: s_t = leak s_{t-1} + drive.

    This is forward-mode differentiation through the membrane and its reset alone, without recurrent connections: the
    eligibility vector of e-prop (Bellec et al. 2020, eq. 14), with the derivative of the reset included.

    Args:
        sensitivity: [*lifetimes, rows, n], one row per parameter of each of the n neurons; overwritten.
        leak: d u_t / d u_{t-1} = m dv_{t-1}/du_{t-1}, [*lifetimes, n].
        drive: the direct dependence, [*lifetimes, rows, n]: (1-m) x for a weight, v_{t-1} - I_t for m,
            m dv_{t-1}/dtheta for theta.
    """
    return torch.addcmul(drive, sensitivity, leak.unsqueeze(-2), out=sensitivity)


def low_pass_(trace: Tensor, decay: Tensor | float, value: Tensor) -> Tensor:
    """Average with exponential forgetting, in place: trace = decay trace + (1 - decay) value."""
    if isinstance(decay, Tensor):
        return torch.lerp(value, trace, decay, out=trace)
    return trace.lerp_(value, 1.0 - decay)


def accumulate_(trace: Tensor, decay: float, value: Tensor) -> Tensor:
    """Add to a decaying sum, in place: trace = decay trace + value."""
    return torch.add(value, trace, alpha=decay, out=trace)


def td_error(reward: Tensor, value_t: Tensor, value_tp1: Tensor, discount: float | Tensor, continues: Tensor) -> Tensor:
    """One-step temporal-difference error r + gamma V(s') [s' not terminal] - V(s) (Sutton and Barto 2018, eq. 6.5).

    Args:
        reward: [*lifetimes].
        value_t: V(s), [*lifetimes].
        value_tp1: V(s'), [*lifetimes].
        discount: gamma per env step, or one per lifetime, [*lifetimes].
        continues: 0 where the episode terminated, 1 elsewhere (also where it was truncated), [*lifetimes].
    """
    if isinstance(discount, Tensor):
        return torch.addcmul(reward - value_t, value_tp1 * discount.to(value_tp1.dtype), continues)
    return torch.addcmul(reward - value_t, value_tp1, continues, value=discount)
