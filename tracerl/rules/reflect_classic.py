"""traceTorch's REFLECT: averages of log-probabilities and of outputs, multiplied, times reward minus its average.

traceTorch 0.3.0, ``loss.Reflect``; with several timescales, ``ReflectMTF`` of its commit ae73a81. Of each timescale k,
with decay d (p_t: probabilities, o_t: the output chosen, one-hot, r: the reward),

    l = d l + log(p_t + 1e-12)      y = d y + o_t      rho = d rho + r

and with averages lbar = sum_k w_k (1-d) l, ybar = sum_k w_k (1-d) y and rbar = sum_k w_k (1-d) rho before this reward,

    A = r - rbar      loss = -A sum ybar lbar      signal = d loss / d lbar = -A ybar

w is the softmax of a free parameter; one timescale has w = 1, and is 0.3.0. A is a constant to the derivatives.
``.grad`` is that of the loss, to be descended; each call overwrites it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule

_EPSILON = 1e-12  # traceTorch's, added to probabilities


class Scales(NamedTuple):
    """What a reward is multiplied by.

    Attributes:
        advantage: A, [*lifetimes, 1].
        weight: w, [*lifetimes, K].
        remain: 1 - d, [*lifetimes, K].
    """

    advantage: Tensor
    weight: Tensor
    remain: Tensor


class Timescales(StateModule):
    """The reward against its averages over K timescales, and the parameters that the timescales have.

    Attributes:
        raw_decay: d is its sigmoid, [*lifetimes, K].
        raw_mixture: w is its softmax, [*lifetimes, K].
        reward_trace: rho; kept over episodes, the average is of the whole lifetime, [*lifetimes, K].
        logprob: average log-probability of what was chosen, sum ybar lbar, at the last reward, [*lifetimes].
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
        """Start with nothing seen, all timescales weighing the same.

        Args:
            decays: initial d of each timescale per env step, in (0, 1).
            lifetimes: maker of tensors.
            learn_decay: make d a parameter.
            learn_mixture: make w a parameter.
        """
        super().__init__()
        n = len(decays)
        raw = torch.logit(torch.tensor(list(decays), dtype=torch.float64))
        self._hold("raw_decay", lifetimes.zeros(n) + raw.to(lifetimes.device, lifetimes.dtype), learn_decay)
        self._hold("raw_mixture", lifetimes.zeros(n), learn_mixture)
        self.register_buffer("reward_trace", lifetimes.zeros(n))
        self.register_buffer("logprob", lifetimes.zeros())
        self.register_buffer("advantage", lifetimes.zeros())

    def _hold(self, name: str, value: Tensor, learn: bool) -> None:
        if learn:
            setattr(self, name, nn.Parameter(value, requires_grad=False))
        else:
            self.register_buffer(name, value)

    def decays(self) -> Tensor:
        """Return d, [*lifetimes, K]."""
        return torch.sigmoid(self.raw_decay)

    def compare(self, reward: Tensor) -> Scales:
        """Set a reward ([*lifetimes]) against the average of those before it and take it in, in place."""
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
            by_share: derivative of ``logprob`` by each timescale's share w_k (1-d_k) in the averages, [*lifetimes, K].
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
    """REFLECT as traceTorch has it: log-probabilities and outputs are averaged apart.

    Attributes:
        logprob_trace: l, [*lifetimes, K, n].
        output_trace: y, [*lifetimes, K, n].
    """

    logprob_trace: Tensor
    output_trace: Tensor
    tracked = ("logprob_trace", "output_trace")

    def __init__(self, timescales: Timescales, n: int, lifetimes: Lifetimes) -> None:
        """Start empty, for n outputs."""
        super().__init__()
        self.timescales = timescales
        n_scales = timescales.raw_decay.shape[-1]
        self.register_buffer("logprob_trace", lifetimes.zeros(n_scales, n))
        self.register_buffer("output_trace", lifetimes.zeros(n_scales, n))

    def forward(self, probabilities: Tensor, output: Tensor) -> None:
        """Take in what was offered and what was chosen, in place.

        Args:
            probabilities: p_t, [*lifetimes, n].
            output: o_t, [*lifetimes, n].
        """
        decay = self.timescales.decays().unsqueeze(-1)
        self.logprob_trace.mul_(decay).add_(torch.log(probabilities + _EPSILON).unsqueeze(-2))
        self.output_trace.mul_(decay).add_(output.unsqueeze(-2))

    def backward(self, reward: Tensor) -> Tensor:
        """Write loss and gradients, and return the learning signal by average log-probabilities.

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
        """Forget the episode, not the rewards, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in
        all."""
        clear_(self.logprob_trace, mask)
        clear_(self.output_trace, mask)


class PairedReflect(StateModule):
    """REFLECT with the trace of the product, one per parameter and timescale: which action was taken where is kept.

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
        """Start empty, for n parameters."""
        super().__init__()
        self.timescales = timescales
        n_scales = timescales.raw_decay.shape[-1]
        self.register_buffer("logprob_trace", lifetimes.zeros(n_scales))
        self.register_buffer("eligibility_trace", lifetimes.zeros(n_scales, n))

    def forward(self, log_probability: Tensor, score: Tensor) -> None:
        """Take in what was chosen, in place.

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
        """Forget the episode, not the rewards, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in
        all."""
        clear_(self.logprob_trace, mask)
        clear_(self.eligibility_trace, mask)
