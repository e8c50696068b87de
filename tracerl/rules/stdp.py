"""Reward-modulated STDP: an eligibility trace of spike pairs, which a scalar signal converts to a weight change.

The rule has three factors: a trace of the presynaptic spikes, a trace of the postsynaptic spikes, and one scalar for
all synapses. Spike pairs are added to an eligibility trace, and the scalar multiplies it to change the weight:

    x_t = p x_{t-1} + pre_t                                       y_t = q y_{t-1} + post_t          per tick
    c <- c + A+ x_t post_t - A- q y_{t-1} pre_t                                                     per tick
    c <- d c                                                      w <- bounded(w + lr signal c)     per env step

Izhikevich 2007 (Cerebral Cortex 17, 2443-2452, https://doi.org/10.1093/cercor/bhl152); as MSTDPET, Florian 2007 (Neural
Computation 19, 1468-1502, https://doi.org/10.1162/neco.2007.19.6.1468); reviewed as three-factor rules by Fremaux and
Gerstner 2016 (Frontiers in Neural Circuits 9, 85, https://doi.org/10.3389/fncir.2015.00085).

The rule is not the gradient of an objective: it reinforces neurons that fired together before the signal. The signal
must therefore average to zero in every state, as a td error does (Fremaux, Sprekeler and Gerstner 2010, Journal of
Neuroscience 30, 13326-13337, https://doi.org/10.1523/JNEUROSCI.6249-09.2010); otherwise firing itself is reinforced.
The reward minus its average per step, r - rbar, averages to zero only over a whole episode. The total signal of spikes
whose reward R comes T steps later is

    sum over k <= T of d^k (r_k - rbar) = d^T R - rbar (1 - d^(T+1)) / (1 - d)

If the reward of every episode is R, this is 0 for d = 1 and negative for d < 1, which unlearns correct actions. With
that signal, choose d = 1 for late rewards in short episodes.

Left out: triplet rules, and the drift of plain STDP without reward (the signal has no offset).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.moved import keep_names
from tracerl.nn import functional as F
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule

Bounds = Literal["hard", "soft"]
BOUNDS = ("hard", "soft")


def pair_(
    eligibility: Tensor,
    pre_trace: Tensor,
    post: Tensor,
    post_trace_tm1: Tensor,
    pre: Tensor,
    a_plus: float,
    a_minus: float,
) -> Tensor:
    """Add the spike pairs of one tick to the eligibility, in place: c += A+ x_t post_t - A- y pre_t.

    Every postsynaptic spike is paired with the trace of all presynaptic spikes up to and including this tick. Every
    presynaptic spike is paired with the trace of all postsynaptic spikes before this tick. So each pair counts once
    (all-to-all, Song, Miller and Abbott 2000, Nature Neuroscience 3, 919-926, https://doi.org/10.1038/78829), n ticks
    apart: A+ p^n where the postsynaptic spike came n >= 0 ticks later, -A- q^n where it came n >= 1 ticks earlier.
    n = 0 counts as pre before post because the input drives the neuron within the tick.

    Args:
        eligibility: c, [*lifetimes, n_pre, n_post]; overwritten.
        pre_trace: x_t, with this tick's spikes, [*lifetimes, n_pre].
        post: postsynaptic spikes, 0 or 1, [*lifetimes, n_post].
        post_trace_tm1: q y_{t-1}, decayed, without this tick's spikes, [*lifetimes, n_post].
        pre: presynaptic spikes, 0 or 1, [*lifetimes, n_pre].
        a_plus: A+, 0 or above.
        a_minus: A-, 0 or above.
    """
    eligibility.addcmul_(pre_trace.unsqueeze(-1), post.unsqueeze(-2), value=a_plus)
    return eligibility.addcmul_(pre.unsqueeze(-1), post_trace_tm1.unsqueeze(-2), value=-a_minus)


def bounded_step_(weight: Tensor, change: Tensor, low: float, high: float, bounds: Bounds) -> Tensor:
    """Change weights in place and keep them in [low, high].

    ``hard``: add, then clip (Song, Miller and Abbott 2000); weights accumulate at the bounds. ``soft``: multiply an
    increase by (high - w) / (high - low) and a decrease by (w - low) / (high - low) (the multiplicative rule of van
    Rossum, Bi and Turrigiano 2000, Journal of Neuroscience 20, 8812-8821), then clip, since one large change can still
    overshoot.

    Args:
        weight: [*lifetimes, n_pre, n_post]; overwritten.
        change: of the same shape.
        low: least weight.
        high: largest weight.
        bounds: which of the two.
    """
    if bounds == "soft":
        room = torch.where(change > 0, high - weight, weight - low)
        change = change * room.div_(high - low)
    return weight.add_(change).clamp_(low, high)


@dataclass(frozen=True)
class STDP:
    """Settings of reward-modulated STDP; ``build`` makes the synapses.

    Attributes:
        a_plus: A+, increase of the eligibility by a pair with the presynaptic spike first, 0 or above.
        a_minus: A-, decrease of the eligibility by a pair with the postsynaptic spike first, 0 or above.
        pre_decay: p per tick, in [0, 1); a time constant tau in ticks is exp(-1/tau).
        post_decay: q per tick, in [0, 1).
        eligibility_decay: d per env step, in [0, 1].
        lr: change of weight per unit of signal and eligibility, above 0.
        bounds: ``hard`` or ``soft``.
        low: least weight.
        high: largest weight, above ``low``.
        initial: range [from, to] of the uniform distribution of the initial weights, within the bounds; a number: the
            same for all weights.
    """

    a_plus: float
    a_minus: float
    pre_decay: float
    post_decay: float
    eligibility_decay: float
    lr: float
    bounds: Any
    low: float
    high: float
    initial: Any

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        for name in ("a_plus", "a_minus"):
            checks.non_negative(name, getattr(self, name))
        for name in ("pre_decay", "post_decay"):
            checks.decay(name, getattr(self, name))
        checks.unit_interval("eligibility_decay", self.eligibility_decay)
        checks.positive("lr", self.lr)
        checks.choice("bounds", self.bounds, BOUNDS)
        low = checks.number("low", self.low, "a number", float("-inf"), float("inf"))
        high = checks.number("high", self.high, f"a number above low = {low}", low, float("inf"), closed="(]")
        checks.span("initial", self.initial, f"a number in [{low}, {high}]", low, high, closed="[]")

    def build(self, n_pre: int, n_post: int, lifetimes: Lifetimes) -> "STDPSynapses":
        """Make the synapses from n_pre inputs to n_post neurons, drawing their weights."""
        return STDPSynapses(self, n_pre, n_post, lifetimes)


class STDPSynapses(StateModule):
    """All synapses between two groups of neurons, learning by reward-modulated STDP.

    State per lifetime: two numbers per synapse, one per input and one per neuron, independent of the number of steps.

    Attributes:
        weight: w, [*lifetimes, n_pre, n_post].
        eligibility: c, [*lifetimes, n_pre, n_post].
        pre_trace: x, [*lifetimes, n_pre].
        post_trace: y, [*lifetimes, n_post].
    """

    weight: Tensor
    eligibility: Tensor
    pre_trace: Tensor
    post_trace: Tensor
    tracked = ("eligibility", "pre_trace", "post_trace")

    def __init__(self, settings: STDP, n_pre: int, n_post: int, lifetimes: Lifetimes) -> None:
        """Draw the weights and initialise the traces at zero."""
        super().__init__()
        self.settings = settings
        least, most = checks.span("initial", settings.initial, "", settings.low, settings.high, closed="[]")
        self.register_buffer("weight", lifetimes.uniform(least, most, n_pre, n_post))
        self.register_buffer("eligibility", lifetimes.zeros(n_pre, n_post))
        self.register_buffer("pre_trace", lifetimes.zeros(n_pre))
        self.register_buffer("post_trace", lifetimes.zeros(n_post))

    def fade(self) -> None:
        """Decay the eligibility by one env step, in place."""
        self.eligibility.mul_(self.settings.eligibility_decay)

    def tick(self, pre: Tensor, post: Tensor) -> None:
        """Update the traces and the eligibility by the spikes of one tick, in place.

        Args:
            pre: presynaptic spikes, 0 or 1, [*lifetimes, n_pre].
            post: postsynaptic spikes of the same tick, which ``pre`` may have driven, 0 or 1, [*lifetimes, n_post].
        """
        rule = self.settings
        F.accumulate_(self.pre_trace, rule.pre_decay, pre)
        self.post_trace.mul_(rule.post_decay)
        pair_(self.eligibility, self.pre_trace, post, self.post_trace, pre, rule.a_plus, rule.a_minus)
        self.post_trace.add_(post)

    def update(self, signal: Tensor) -> None:
        """Change the weights by signal times eligibility, in place: w <- bounded(w + lr signal c).

        Args:
            signal: the third factor, [*lifetimes].
        """
        rule = self.settings
        change = self.eligibility * (rule.lr * signal)[..., None, None]
        bounded_step_(self.weight, change, rule.low, rule.high, rule.bounds)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset traces and eligibility, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all.

        The weights do not change.
        """
        for state in (self.eligibility, self.pre_trace, self.post_trace):
            clear_(state, mask)


keep_names(globals(), Synapses="STDPSynapses")
