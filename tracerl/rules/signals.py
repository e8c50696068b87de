"""Reward signals that need no critic. The td error, which does, is the agent's own (``functional.td_error``)."""

import torch
from torch import Tensor

from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class RewardSignal(StateModule):
    """The reward itself.

    Where every step is paid the same, as in CartPole, it says nothing about the action: use ``td`` there.
    """

    def forward(self, reward: Tensor) -> Tensor:
        """Return the reward, [*lifetimes]."""
        return reward


class AdvantageSignal(StateModule):
    """The reward minus its running average, as in traceTorch: A = r - (1-d) rho, then rho = d rho + r.

    The average is of the whole lifetime and is kept over episodes. It starts at 0 and is corrected for that start
    (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, section 3). Where every step is paid the same, as in
    CartPole, the signal is 0 and nothing is learned: use ``td`` there.

    Attributes:
        average: the corrected average (1-d) rho / (1-d^t), [*lifetimes]; exactly r as long as every reward was r.
        unseen: weight d^t that the start still has in the average, [*lifetimes].
    """

    average: Tensor
    unseen: Tensor

    def __init__(self, decay: float, lifetimes: Lifetimes) -> None:
        """Start with nothing seen.

        Args:
            decay: d, forgetting of the average per env step, in [0, 1).
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.decay = decay
        self.register_buffer("average", lifetimes.zeros())
        self.register_buffer("unseen", lifetimes.full(1.0))

    def forward(self, reward: Tensor) -> Tensor:
        """Return r minus the average of the rewards before it, and take r in, in place: [*lifetimes].

        The first reward of a lifetime has nothing to compare with: its signal is 0.
        """
        baseline = torch.where(self.unseen < 1, self.average, reward)
        self.unseen.mul_(self.decay)
        self.average.lerp_(reward, (1 - self.decay) / (1 - self.unseen))
        return reward - baseline
