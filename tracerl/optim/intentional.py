"""Bounded Intentional updates: the step size that gives a chosen change of the output."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.config.moved import previous_attribute
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule, StepRuleSettings

_TINY = 1e-8  # added to every scale, and the lower bound of the denominator
_LEAST = 1e-12  # lower bound of the signal magnitude in a denominator


@dataclass(frozen=True)
class Intentional:
    """Bounded Intentional updates; ``build`` makes the rule.

    Attributes:
        eta: intended change of the output (log pi, or V) per step and unit of signal.
        floor: lower bound of the denominator, as a share of its largest running mean; 0 gives the unbounded rule.
        peak_decay: decay of that largest mean per step; 0 makes it the running mean itself.
        normalize_signal: divide the signal by the largest of its running mean magnitude and the two floors (policies).
        signal_floor: lower bound of this divisor, in units of the signal; 0 amplifies arbitrarily small signals.
        score_decay: decay of the second moment of the gradients per step.
        slow_decay: decay of the running signal and denominator statistics per step.
        clip: bound of the signal, in units of its root-mean-square.
        rms_floor: lower bound of the divisor, in units of the signal's root-mean-square, in [0, 1]. The mean magnitude
            is at most 1 of these, so that 1 divides by the root-mean-square. With sparse rewards the mean magnitude is
            small, and a rare signal is amplified; 0 does not prevent this.
        per_component: eta refers to one component; log pi of k components changes by sqrt(k) eta (``rule_of_policy``).
    """

    eta: float
    floor: float
    peak_decay: float
    normalize_signal: bool
    signal_floor: float
    score_decay: float
    slow_decay: float
    clip: float
    rms_floor: float = 0.0
    per_component: bool = False

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.positive("eta", self.eta)
        checks.non_negative("floor", self.floor)
        checks.decay("peak_decay", self.peak_decay)
        checks.flag("normalize_signal", self.normalize_signal)
        checks.non_negative("signal_floor", self.signal_floor)
        checks.decay("score_decay", self.score_decay)
        checks.decay("slow_decay", self.slow_decay)
        checks.positive("clip", self.clip)
        checks.unit_interval("rms_floor", self.rms_floor)
        checks.flag("per_component", self.per_component)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        found = {} if self.floor > 0 else {"peak_decay": "with floor=0"}
        if not self.normalize_signal:
            found |= dict.fromkeys(("signal_floor", "rms_floor"), "with normalize_signal=false")
        return found

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "BoundedIntentional":
        """Make the rule for one network."""
        return BoundedIntentional(self, network.flat.shape[-1], trace_decay, lifetimes)


def rule_of_policy(rule: StepRuleSettings, n_components: int) -> StepRuleSettings:
    """Return the settings of a policy's rule where an action has k = ``n_components`` independent components.

    log pi is the sum of k terms, and its gradient is sqrt(k) times as long as that of one term. A step that changes log
    pi of the action taken by eta therefore changes the policy by a KL divergence of eta^2/(2k), which falls with k.
    Under ``per_component`` log pi changes by sqrt(k) eta, so that the KL divergence does not depend on k. Other rules
    are returned unchanged.
    """
    if not (isinstance(rule, Intentional) and rule.per_component):
        return rule
    return replace(rule, eta=math.sqrt(n_components) * rule.eta)


def ignored_by_policy(rule: StepRuleSettings, n_components: int) -> dict[str, str]:
    """Return the settings of a policy's rule that have no effect, by name; see ``tracerl.config.ignored``."""
    found = ignored(rule, "optimizer.policy")
    if type(rule) is Intentional and n_components == 1:
        found["optimizer.policy.per_component"] = "with actions of one component"
    return found


class BoundedIntentional(StepRule):
    """Intentional updates (https://arxiv.org/abs/2604.19033) with a lower bound of the denominator.

    With g the gradient of the objective, zeta its trace, d the decay of the trace and nu_hat a running root-mean-square
    of g per parameter,

        nu = b nu + (1-b) g^2                          nu_hat = sqrt(nu / (1-b^t)) + 1e-8
        sigma = d sigma + (1-d) sum g^2/nu_hat         u = sqrt( sigma/(1-d^t) sum zeta^2/nu_hat )
        ubar = s ubar + (1-s) u                        peak = max(peak_decay peak, ubar/(1-s^t))
        u' = max(u, floor peak)                        theta += eta/u' signal zeta/nu_hat

    where b is ``score_decay`` and s ``slow_decay``.

    The signal is clipped at ``clip`` times its running root-mean-square. That of the clip starts with a mean square of
    1, which its bias correction keeps: it begins at 1/sqrt(1-s) or above, so that the first
    1/(1-s) signals are hardly clipped. For a policy the signal is then divided by the largest of three numbers: its
    running mean magnitude, ``signal_floor``, and ``rms_floor`` times its root-mean-square without the initial value.

    Three parts are tracerl's own. The lower bound of u: the gradients of a nearly deterministic policy are near zero,
    and so is u, so that the step that changes log pi by eta is unbounded. The peak of u: without it the lower bound
    falls with the gradients. The divisor's lower bounds: a mean magnitude over a few thousand steps amplifies a signal
    that is almost pure noise (docs/research/signal-floor.md), and a rare signal (docs/research/sparse-rewards.md). By
    default ``rms_floor`` is 1, and the means of policies are over 20,000 steps.

    Attributes:
        second_moment: nu, [*lifetimes, n].
        score_norm: sigma, [*lifetimes, 1].
        mean_denominator: ubar, [*lifetimes, 1].
        peak_denominator: peak, [*lifetimes, 1].
        signal_square: running mean of signal^2, [*lifetimes, 1].
        signal_magnitude: running mean of the clipped |signal|, [*lifetimes, 1].
        bias_correction: its weights score_decay^t, trace_decay^t and slow_decay^t, float64, [*lifetimes, 3].
    """

    second_moment: Tensor
    score_norm: Tensor
    mean_denominator: Tensor
    peak_denominator: Tensor
    signal_square: Tensor
    signal_magnitude: Tensor
    bias_correction: Tensor
    previous_names = {"bias_correction": "unseen"}
    unseen = previous_attribute("unseen", "bias_correction")

    def __init__(self, settings: Intentional, n: int, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Initialise the statistics of n parameters whose traces decay by ``trace_decay`` per env step."""
        super().__init__(lifetimes)
        self.settings = settings
        self.trace_decay = trace_decay
        self.register_buffer("second_moment", lifetimes.zeros(n))
        for name in ("score_norm", "mean_denominator", "peak_denominator", "signal_magnitude"):
            self.register_buffer(name, lifetimes.zeros(1))
        self.register_buffer("signal_square", lifetimes.full(1.0, 1))
        decays = [settings.score_decay, trace_decay, settings.slow_decay]
        self._decays = torch.tensor(decays, dtype=torch.float64, device=lifetimes.device)
        self.register_buffer("bias_correction", lifetimes.zeros(3, dtype=torch.float64) + 1)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Apply the update of the class; see ``StepRule.forward``."""
        correction = (1 - self.bias_correction.mul_(self._decays)).to(trace.dtype)
        score_correction, trace_correction, slow_correction = correction.split(1, -1)  # each [*lifetimes, 1]
        scale = self._scale(network.score, score_correction)
        self.score_norm.lerp_(_weighted_norm(network.score, scale), 1 - self.trace_decay)
        direction = trace * scale
        trace_norm = (direction * trace).sum(-1, keepdim=True)
        denominator = (self.score_norm / trace_correction).mul_(trace_norm).sqrt_()
        least = self._least(denominator, slow_correction)
        torch.reciprocal(torch.maximum(denominator, least).clamp_(min=_TINY), out=self.step_size)
        self.step_size.mul_(self.settings.eta)
        network.flat.addcmul_(direction, self.step_size * self._bound(signal.unsqueeze(-1), slow_correction))

    def _scale(self, score: Tensor, correction: Tensor) -> Tensor:
        """Update nu by the gradient and return 1/nu_hat: [*lifetimes, n]."""
        decay = self.settings.score_decay
        self.second_moment.mul_(decay).addcmul_(score, score, value=1 - decay)
        return (self.second_moment / correction).sqrt_().add_(_TINY).reciprocal_()

    def _least(self, denominator: Tensor, correction: Tensor) -> Tensor:
        """Update the statistics of the denominator and return its lower bound: [*lifetimes, 1]."""
        self.mean_denominator.lerp_(denominator, 1 - self.settings.slow_decay)
        self.peak_denominator.mul_(self.settings.peak_decay)
        torch.maximum(self.peak_denominator, self.mean_denominator / correction, out=self.peak_denominator)
        return self.peak_denominator * self.settings.floor

    def _bound(self, signal: Tensor, correction: Tensor) -> Tensor:
        """Clip the signal and, under ``normalize_signal``, normalise it: [*lifetimes, 1]."""
        fresh = 1 - self.settings.slow_decay
        self.signal_square.lerp_(signal * signal, fresh)
        cap = (self.signal_square / correction).sqrt_().mul_(self.settings.clip)
        signal = torch.clamp(signal, -cap, cap)
        if not self.settings.normalize_signal:
            return signal
        self.signal_magnitude.lerp_(signal.abs(), fresh)
        magnitude = self.signal_magnitude / correction
        if self.settings.rms_floor > 0:
            rms = ((self.signal_square - (1 - correction)) / correction).clamp_(min=0.0).sqrt_()
            magnitude = torch.maximum(magnitude, rms.mul_(self.settings.rms_floor))
        return signal / magnitude.clamp_(min=max(self.settings.signal_floor, _LEAST))


def _weighted_norm(score: Tensor, scale: Tensor) -> Tensor:
    """Return the weighted squared norm sum score^2 scale: [*lifetimes, 1]."""
    return (score * score).mul_(scale).sum(-1, keepdim=True)
