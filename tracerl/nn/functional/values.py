"""The td error of a critic, for one time step."""

import torch
from torch import Tensor


def td_error(reward: Tensor, value_t: Tensor, value_tp1: Tensor, discount: float, continues: Tensor) -> Tensor:
    """One-step temporal-difference error r + gamma V(s') [s' not terminal] - V(s) (Sutton and Barto 2018, eq. 6.5).

    Args:
        reward: [*lifetimes].
        value_t: V(s), [*lifetimes].
        value_tp1: V(s'), [*lifetimes].
        discount: gamma per env step.
        continues: 0 where the episode terminated, 1 elsewhere (also where it was truncated), [*lifetimes].
    """
    return torch.addcmul(reward - value_t, value_tp1, continues, value=discount)
