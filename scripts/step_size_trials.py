"""Trial step-size rules that ``compare_step_sizes.py --trials`` measures; docs/step-size.md says why none was kept.

Let J_a be the gradient of output (logit) a by all parameters and pi = softmax(y). What the rules of the library know
for the sampled action only, can be had for all actions:

    E_a[g^2] = sum_a pi_a (J_a - sum_b pi_b J_b)^2       per parameter: the diagonal of the Fisher matrix
    KL(pi before, pi after a step alpha s D) = 1/2 (alpha s)^2 Var_pi(J D) + ... <= 1/8 (alpha s)^2 range(J D)^2

to first order of the outputs; the bound on the right, Hoeffding's lemma, leaves out nothing else. The J_a are read
off ``Network.backward``, one call per output, which covers every layer and credit. Plain and slow on purpose.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lives
from tracerl.nn.networks import Network
from tracerl.optim.intentional import BoundedIntentional, Intentional

_TINY = 1e-8


def output_gradients(network: Network) -> Tensor:
    """Return J, the gradient of every output by all parameters at the present state: [n_out, *lives, n].

    The network's ``score`` is overwritten and restored.
    """
    kept, rows = network.score.clone(), []
    for signal in torch.eye(network.readout.n_out, dtype=kept.dtype, device=kept.device):
        network.backward(signal.expand(*kept.shape[:-1], -1))
        rows.append(network.score.clone())
    network.score.copy_(kept)
    return torch.stack(rows)


def probabilities(network: Network) -> Tensor:
    """Return pi of the present outputs, computed anew from the readout's state: [n_out, *lives, 1]."""
    logits = F.affine(network.readout.affine, network.readout.filtered)
    return torch.softmax(logits, -1).movedim(-1, 0).unsqueeze(-1)


def variance(values: Tensor, pi: Tensor) -> Tensor:
    """Return the variance over outputs under pi: values [n_out, *lives, m], pi [n_out, *lives, 1] -> [*lives, m]."""
    return (pi * (values - (pi * values).sum(0)).square()).sum(0)


@dataclass(frozen=True)
class Trial:
    """A changed form of bounded Intentional updates for a softmax policy; ``build`` makes the rule.

    Attributes:
        rule: settings of the rule it changes.
        expected: take E_a[g^2] for g^2 in the score's norm (sigma).
        kl: bound of the KL divergence per step at the present observation; infinite: none.
        exact: bound KL from above by the range of the logits' change, instead of to second order by its variance.
    """

    rule: Intentional
    expected: bool = False
    kl: float = math.inf
    exact: bool = False

    def build(self, network: FlatModule, trace_decay: float, lives: Lives) -> "TrialRule":
        """Make the rule for one network."""
        return TrialRule(self, network.flat.shape[-1], trace_decay, lives)


class TrialRule(BoundedIntentional):
    """``BoundedIntentional`` with the norm or the bound of a ``Trial``; its state is the same."""

    def __init__(self, trial: Trial, n: int, trace_decay: float, lives: Lives) -> None:
        """Start with nothing seen."""
        super().__init__(trial.rule, n, trace_decay, lives)
        self.trial = trial

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Step as the trial says; see ``StepRule.forward``."""
        if not isinstance(network, Network):
            raise TypeError(f"a trial needs a network's outputs, got {type(network).__name__}")
        seen = (1 - self.unseen.mul_(self._decays)).to(trace.dtype)
        seen_score, seen_trace, seen_slow = seen.split(1, -1)  # each [*lives, 1]
        pi, rows = probabilities(network), output_gradients(network)
        scale = self._scale(network.score, seen_score)
        square = variance(rows, pi) if self.trial.expected else network.score.square()
        self.score_norm.lerp_((square * scale).sum(-1, keepdim=True), 1 - self.trace_decay)
        direction = trace * scale
        denominator = (self.score_norm / seen_trace * (direction * trace).sum(-1, keepdim=True)).sqrt()
        least = self._least(denominator, seen_slow)
        bounded = self._bound(signal.unsqueeze(-1), seen_slow)
        size = self.settings.eta / torch.maximum(denominator, least).clamp(min=_TINY)
        if self.trial.kl < math.inf:
            size = torch.minimum(size, self._largest(rows, direction, pi) / (bounded.abs() + _TINY))
        self.step_size.copy_(size)
        network.flat.addcmul_(direction, size * bounded)

    def _largest(self, rows: Tensor, direction: Tensor, pi: Tensor) -> Tensor:
        """Return the largest alpha |s| whose KL stays within the bound: [*lives, 1]."""
        change = (rows * direction).sum(-1, keepdim=True)  # J D: [n_out, *lives, 1]
        if self.trial.exact:
            return math.sqrt(8 * self.trial.kl) / (change.amax(0) - change.amin(0) + 1e-20)
        return math.sqrt(2 * self.trial.kl) / (variance(change, pi).sqrt() + 1e-20)
