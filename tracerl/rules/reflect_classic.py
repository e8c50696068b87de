"""traceTorch's REFLECT: averages of log-probabilities and of outputs, multiplied, times reward minus its average.

Source: traceTorch 0.3.0, ``loss.Reflect``; for several timescales, ``ReflectMTF`` of its commit ae73a81. For each
timescale k with decay d (p_t: probabilities, o_t: one-hot chosen output, r: reward),

    l = d l + log(p_t + 1e-12)      y = d y + o_t      rho = d rho + r

and with averages lbar = sum_k w_k (1-d) l, ybar = sum_k w_k (1-d) y and rbar = sum_k w_k (1-d) rho before this reward,

    A = r - rbar      loss = -A sum ybar lbar      signal = d loss / d lbar = -A ybar

w is the softmax of a free parameter; for one timescale w = 1, which is version 0.3.0. A is held constant in the
derivatives. ``.grad`` is the gradient of the loss, for descent; each call overwrites it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule

_EPSILON = 1e-12  # traceTorch's, added to probabilities


class Scales(NamedTuple):
    """The factors of the loss at one reward.

    Attributes:
        advantage: A, [*lifetimes, 1].
        weight: w, [*lifetimes, K].
        remain: 1 - d, [*lifetimes, K].
    """

    advantage: Tensor
    weight: Tensor
    remain: Tensor


class Timescales(StateModule):
    """The averages of the reward over K timescales and the parameters of the timescales.

    Attributes:
        raw_decay: d is its sigmoid, [*lifetimes, K].
        raw_mixture: w is its softmax, [*lifetimes, K].
        reward_trace: rho; not reset between episodes, so that it averages over the lifetime, [*lifetimes, K].
        logprob: average log-probability of the chosen outputs, sum ybar lbar, at the last reward, [*lifetimes].
        advantage: A of the last reward, [*lifetimes].
    """

    raw_decay: Tensor
    raw_mixture: Tensor
    reward_trace: Tensor
    logprob: Tensor
    advantage: Tensor

    def __init__(
        self, decays: Sequence[float], lifetimes: Lifetimes, *, learn_decay: bool, learn_mixture: bool
    ) -> None:
        """Initialise the averages, with equal weights of the timescales.

        Args:
            decays: initial d of each timescale per env step, in (0, 1).
            lifetimes: maker of tensors.
            learn_decay: make d a parameter.
            learn_mixture: make w a parameter.
        """
        super().__init__()
        n = len(decays)
        raw = torch.logit(torch.tensor(list(decays), dtype=torch.float64))
        self._register("raw_decay", lifetimes.zeros(n) + raw.to(lifetimes.device, lifetimes.dtype), learn_decay)
        self._register("raw_mixture", lifetimes.zeros(n), learn_mixture)
        self.register_buffer("reward_trace", lifetimes.zeros(n))
        self.register_buffer("logprob", lifetimes.zeros())
        self.register_buffer("advantage", lifetimes.zeros())

    def _register(self, name: str, value: Tensor, learn: bool) -> None:
        if learn:
            setattr(self, name, nn.Parameter(value, requires_grad=False))
        else:
            self.register_buffer(name, value)

    def decays(self) -> Tensor:
        """Return d, [*lifetimes, K]."""
        return torch.sigmoid(self.raw_decay)

    def compare(self, reward: Tensor) -> Scales:
        """Compare a reward, [*lifetimes], with the average of the earlier ones, then update the average in place."""
        decay, weight = self.decays(), torch.softmax(self.raw_mixture, -1)
        torch.sub(reward, (weight * (1 - decay) * self.reward_trace).sum(-1), out=self.advantage)
        self.reward_trace.mul_(decay).add_(reward.unsqueeze(-1))
        return Scales(self.advantage.unsqueeze(-1), weight, 1 - decay)

    def loss(self) -> Tensor:
        """Return the loss of the last reward, [*lifetimes]."""
        return -self.advantage * self.logprob

    def write(self, scales: Scales, logprob: Tensor, by_share: Tensor) -> None:
        """Write ``logprob`` and the gradients of the parameters, in place.

        Args:
            scales: of the reward.
            logprob: [*lifetimes].
            by_share: derivative of ``logprob`` by each timescale's weight w_k (1-d_k) in the averages, [*lifetimes, K].
        """
        weight, remain = scales.weight, scales.remain
        self.logprob.copy_(logprob)
        by_share = -scales.advantage * by_share  # of the loss
        if self.raw_decay.grad is not None:
            torch.mul(-weight * by_share, (1 - remain) * remain, out=self.raw_decay.grad)
        if self.raw_mixture.grad is not None:
            by_weight = remain * by_share
            mean = (weight * by_weight).sum(-1, keepdim=True)
            torch.mul(weight, by_weight - mean, out=self.raw_mixture.grad)


class Reflect(StateModule):
    """REFLECT as in traceTorch: separate averages of log-probabilities and outputs.

    Attributes:
        logprob_trace: l, [*lifetimes, K, n].
        output_trace: y, [*lifetimes, K, n].
    """

    logprob_trace: Tensor
    output_trace: Tensor
    tracked = ("logprob_trace", "output_trace")

    def __init__(self, timescales: Timescales, n: int, lifetimes: Lifetimes) -> None:
        """Initialise at zero, for n outputs."""
        super().__init__()
        self.timescales = timescales
        n_scales = timescales.raw_decay.shape[-1]
        self.register_buffer("logprob_trace", lifetimes.zeros(n_scales, n))
        self.register_buffer("output_trace", lifetimes.zeros(n_scales, n))

    def forward(self, probabilities: Tensor, output: Tensor) -> None:
        """Update the traces by the probabilities and the chosen output, in place.

        Args:
            probabilities: p_t, [*lifetimes, n].
            output: o_t, [*lifetimes, n].
        """
        decay = self.timescales.decays().unsqueeze(-1)
        self.logprob_trace.mul_(decay).add_(torch.log(probabilities + _EPSILON).unsqueeze(-2))
        self.output_trace.mul_(decay).add_(output.unsqueeze(-2))

    def backward(self, reward: Tensor) -> Tensor:
        """Write loss and gradients, and return the gradient of the loss by the average log-probabilities.

        Args:
            reward: r, [*lifetimes].

        Returns:
            [*lifetimes, n].
        """
        scales = self.timescales.compare(reward)
        share = (scales.weight * scales.remain).unsqueeze(-1)
        logprob, output = (share * self.logprob_trace).sum(-2), (share * self.output_trace).sum(-2)  # averages
        paths = self.output_trace * logprob.unsqueeze(-2) + self.logprob_trace * output.unsqueeze(-2)
        self.timescales.write(scales, (output * logprob).sum(-1), paths.sum(-1))
        return -scales.advantage * output

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces of the episode, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all.

        The averages of the reward do not change.
        """
        clear_(self.logprob_trace, mask)
        clear_(self.output_trace, mask)


class PairedReflect(StateModule):
    """REFLECT with one trace of the product per parameter and timescale, which pairs each action with its state.

        L = d L + log p_t(a_t)                    zeta = d zeta + grad log p_t(a_t)
        loss = -A sum_k w_k (1-d) L               gradient = -A sum_k w_k (1-d) zeta

    Attributes:
        logprob_trace: L, [*lifetimes, K].
        eligibility_trace: zeta, [*lifetimes, K, n].
    """

    logprob_trace: Tensor
    eligibility_trace: Tensor
    tracked = ("logprob_trace", "eligibility_trace")

    def __init__(self, timescales: Timescales, n: int, lifetimes: Lifetimes) -> None:
        """Initialise at zero, for n parameters."""
        super().__init__()
        self.timescales = timescales
        n_scales = timescales.raw_decay.shape[-1]
        self.register_buffer("logprob_trace", lifetimes.zeros(n_scales))
        self.register_buffer("eligibility_trace", lifetimes.zeros(n_scales, n))

    def forward(self, log_probability: Tensor, score: Tensor) -> None:
        """Update the traces by the chosen action, in place.

        Args:
            log_probability: log p_t(a_t), [*lifetimes].
            score: its gradient, [*lifetimes, n].
        """
        decay = self.timescales.decays()
        self.logprob_trace.mul_(decay).add_(log_probability.unsqueeze(-1))
        self.eligibility_trace.mul_(decay.unsqueeze(-1)).add_(score.unsqueeze(-2))

    def backward(self, reward: Tensor) -> Tensor:
        """Write loss and gradients, and return the gradient of the network's parameters.

        Args:
            reward: r, [*lifetimes].

        Returns:
            [*lifetimes, n].
        """
        scales = self.timescales.compare(reward)
        share = scales.weight * scales.remain
        self.timescales.write(scales, (share * self.logprob_trace).sum(-1), self.logprob_trace)
        return -scales.advantage * (share.unsqueeze(-1) * self.eligibility_trace).sum(-2)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the traces of the episode, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all.

        The averages of the reward do not change.
        """
        clear_(self.logprob_trace, mask)
        clear_(self.eligibility_trace, mask)
