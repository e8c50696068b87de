"""Reward signals that need no critic. Agents with a critic compute the td error (``functional.td_error``)."""

import torch
from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.config.moved import previous_attribute
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.module import StateModule


class RewardSignal(StateModule):
    """The reward itself.

    Where the reward is the same at every step, as in CartPole, it carries no information on the action: use ``td``.
    """

    def forward(self, reward: Tensor) -> Tensor:
        """Return the reward, [*lifetimes]."""
        return reward


class AdvantageSignal(StateModule):
    """The reward minus its running average, as in traceTorch: A = r - (1-d) rho, then rho = d rho + r.

    The average covers the whole lifetime; it is not reset between episodes. It starts at 0 with bias correction (Kingma
    and Ba 2015, https://arxiv.org/abs/1412.6980, section 3). Where the reward is the same at every step, as in
    CartPole, the signal is 0 and nothing is learned: use ``td``.

    Attributes:
        average: the corrected average (1-d) rho / (1-d^t), [*lifetimes]; exactly r while every reward was r.
        bias_correction: its weight d^t, [*lifetimes].
    """

    average: Tensor
    bias_correction: Tensor
    previous_names = {"bias_correction": "unseen"}
    unseen = previous_attribute("unseen", "bias_correction")

    def __init__(self, decay: float, lifetimes: Lifetimes) -> None:
        """Initialise the average.

        Args:
            decay: d of the average per env step, in [0, 1).
            lifetimes: maker of tensors.

        Raises:
            ConfigError: naming ``average_decay``, which rounds to 1 in the dtype of the lifetimes.
        """
        super().__init__()
        if float(torch.tensor(decay, dtype=lifetimes.dtype)) >= 1:
            raise ConfigError("average_decay", f"must be below 1 as a number of {lifetimes.dtype}, got {decay}")
        self.decay = decay
        self.register_buffer("average", lifetimes.zeros())
        self.register_buffer("bias_correction", lifetimes.full(1.0))

    def forward(self, reward: Tensor) -> Tensor:
        """Return r minus the average of the earlier rewards, [*lifetimes], then update the average in place.

        The signal of the first reward of a lifetime is 0.
        """
        baseline = torch.where(self.bias_correction < 1, self.average, reward)
        # Rounded as in bias_correction, so that the first share is exactly 1.
        decay = self.bias_correction.new_tensor(self.decay)
        self.bias_correction.mul_(decay)
        self.average.lerp_(reward, (1 - decay) / (1 - self.bias_correction))
        return reward - baseline
