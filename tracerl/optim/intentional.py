"""Bounded Intentional updates: choose how much the output shall change, solve for the step."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.nn.flat_parameters import FlatModule
from tracerl.nn.lifetimes import Lifetimes
from tracerl.optim.rule import StepRule, StepRuleSettings

_TINY = 1e-8  # added to every scale, and the least denominator
_LEAST = 1e-12  # the least magnitude of a signal that is divided by


@dataclass(frozen=True)
class Intentional:
    """Bounded Intentional updates; ``build`` makes the rule.

    Attributes:
        eta: intended change of the output (log pi, or V) per step and unit of signal.
        floor: least denominator, as a share of the largest running mean it has had; 0 gives the unbounded rule.
        peak_decay: forgetting of that largest mean per step; 0 makes it the running mean itself.
        normalize_signal: divide the signal by its running mean magnitude (policies).
        signal_floor: least magnitude to divide by, in the signal's own units; 0 magnifies signals however small.
        score_decay: forgetting of the second moment of the scores per step.
        slow_decay: forgetting of the running signal and denominator statistics per step.
        clip: bound of the signal, in root-mean-squares of itself.
        rms_floor: least magnitude to divide by, in root-mean-squares of the signal, in [0, 1]. Where most steps tell
            nothing, the mean magnitude is small, and what is told at last is magnified by as much; 0 leaves that so.
        per_component: eta is that of one component; log pi of k of them moves by sqrt(k) eta (``rule_of_policy``).
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

    def build(self, network: FlatModule, trace_decay: float, lifetimes: Lifetimes) -> "BoundedIntentional":
        """Make the rule for one network."""
        return BoundedIntentional(self, network.flat.shape[-1], trace_decay, lifetimes)


def rule_of_policy(rule: StepRuleSettings, n_components: int) -> StepRuleSettings:
    """Return the settings of a policy's rule where an action has k = ``n_components`` independent components.

    log pi is the sum of k terms, its score sqrt(k) times as long as that of one. So a step by which log pi of the
    action taken moves by eta moves the policy the less the more numbers an action has: by a KL divergence of
    eta^2/(2k). Under ``per_component`` log pi moves by sqrt(k) eta and the policy as far whatever k is. Other rules
    stay as they are.
    """
    if not (isinstance(rule, Intentional) and rule.per_component):
        return rule
    return replace(rule, eta=math.sqrt(n_components) * rule.eta)


class BoundedIntentional(StepRule):
    """Intentional updates (https://arxiv.org/abs/2604.19033) with a floor under the denominator.

    With g the score, zeta its trace, d its decay and nu_hat a running root-mean-square of g per parameter,

        nu = .999 nu + .001 g^2                        nu_hat = sqrt(nu / (1-.999^t)) + 1e-8
        sigma = d sigma + (1-d) sum g^2/nu_hat         u = sqrt( sigma/(1-d^t) sum zeta^2/nu_hat )
        ubar = .9998 ubar + .0002 u                    peak = max(peak_decay peak, ubar/(1-.9998^t))
        u' = max(u, floor peak)                        theta += eta/u' signal zeta/nu_hat

    The signal is clipped at ``clip`` times its running root-mean-square (which starts at 1) and, for a policy,
    divided by its running mean magnitude, ``signal_floor`` or ``rms_floor`` times its root-mean-square (without what it
    started at), whichever is largest. The floor under u is tracerl's own: a policy that is nearly deterministic has
    scores, and so u, near zero, and the step that would still move log pi by eta is unbounded. So are the memory of its
    largest mean, without which the floor sinks with the scores, and ``signal_floor``, without which a signal that is
    all but noise is magnified: a task solved for good was unlearned. Without ``rms_floor`` one that is rare is
    magnified too.

    Attributes:
        second_moment: nu, [*lifetimes, n].
        score_norm: sigma, [*lifetimes, 1].
        mean_denominator: ubar, [*lifetimes, 1].
        peak_denominator: peak, [*lifetimes, 1].
        signal_square: running mean of signal^2, [*lifetimes, 1].
        signal_magnitude: running mean of the clipped |signal|, [*lifetimes, 1].
        unseen: score_decay^t, trace_decay^t and slow_decay^t, float64, [*lifetimes, 3]: what the starts still weigh.
    """

    second_moment: Tensor
    score_norm: Tensor
    mean_denominator: Tensor
    peak_denominator: Tensor
    signal_square: Tensor
    signal_magnitude: Tensor
    unseen: Tensor

    def __init__(self, settings: Intentional, n: int, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Start with nothing seen, for n parameters whose traces decay by ``trace_decay`` per env step."""
        super().__init__(lifetimes)
        self.settings = settings
        self.trace_decay = trace_decay
        self.register_buffer("second_moment", lifetimes.zeros(n))
        for name in ("score_norm", "mean_denominator", "peak_denominator", "signal_magnitude"):
            self.register_buffer(name, lifetimes.zeros(1))
        self.register_buffer("signal_square", lifetimes.full(1.0, 1))
        decays = [settings.score_decay, trace_decay, settings.slow_decay]
        self._decays = torch.tensor(decays, dtype=torch.float64, device=lifetimes.device)
        self.register_buffer("unseen", lifetimes.zeros(3, dtype=torch.float64) + 1)

    def forward(self, network: FlatModule, trace: Tensor, signal: Tensor) -> None:
        """Step as the class says; see ``StepRule.forward``."""
        seen = (1 - self.unseen.mul_(self._decays)).to(trace.dtype)
        seen_score, seen_trace, seen_slow = seen.split(1, -1)  # each [*lifetimes, 1]
        scale = self._scale(network.score, seen_score)
        self.score_norm.lerp_(_weighted_norm(network.score, scale), 1 - self.trace_decay)
        direction = trace * scale
        reach = (direction * trace).sum(-1, keepdim=True)
        denominator = (self.score_norm / seen_trace).mul_(reach).sqrt_()
        least = self._least(denominator, seen_slow)
        torch.reciprocal(torch.maximum(denominator, least).clamp_(min=_TINY), out=self.step_size)
        self.step_size.mul_(self.settings.eta)
        network.flat.addcmul_(direction, self.step_size * self._bound(signal.unsqueeze(-1), seen_slow))

    def _scale(self, score: Tensor, seen: Tensor) -> Tensor:
        """Take in the score and return 1/nu_hat: [*lifetimes, n]."""
        decay = self.settings.score_decay
        self.second_moment.mul_(decay).addcmul_(score, score, value=1 - decay)
        return (self.second_moment / seen).sqrt_().add_(_TINY).reciprocal_()

    def _least(self, denominator: Tensor, seen: Tensor) -> Tensor:
        """Take in the denominator and return the least one that is divided by: [*lifetimes, 1]."""
        self.mean_denominator.lerp_(denominator, 1 - self.settings.slow_decay)
        self.peak_denominator.mul_(self.settings.peak_decay)
        torch.maximum(self.peak_denominator, self.mean_denominator / seen, out=self.peak_denominator)
        return self.peak_denominator * self.settings.floor

    def _bound(self, signal: Tensor, seen: Tensor) -> Tensor:
        """Clip the signal and, where asked, normalise it: [*lifetimes, 1]."""
        fresh = 1 - self.settings.slow_decay
        self.signal_square.lerp_(signal * signal, fresh)
        cap = (self.signal_square / seen).sqrt_().mul_(self.settings.clip)
        signal = torch.clamp(signal, -cap, cap)
        if not self.settings.normalize_signal:
            return signal
        self.signal_magnitude.lerp_(signal.abs(), fresh)
        magnitude = self.signal_magnitude / seen
        if self.settings.rms_floor > 0:
            rms = ((self.signal_square - (1 - seen)) / seen).clamp_(min=0.0).sqrt_()
            magnitude = torch.maximum(magnitude, rms.mul_(self.settings.rms_floor))
        return signal / magnitude.clamp_(min=max(self.settings.signal_floor, _LEAST))


def _weighted_norm(score: Tensor, scale: Tensor) -> Tensor:
    """Return sum score^2 scale: [*lifetimes, 1]."""
    return (score * score).mul_(scale).sum(-1, keepdim=True)
