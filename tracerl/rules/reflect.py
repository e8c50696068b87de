"""REFLECT(lambda): the trace of log-probabilities of the sampled actions, differentiated, times a scalar signal.

traceTorch's REFLECT keeps l_t = d l_{t-1} + log pi(a_t) and multiplies it by a reward signal. The gradient of l_t with
weights held fixed is the trace kept here, one number per parameter:

    zeta_t = d zeta_{t-1} + grad log pi(a_t)        theta += alpha_t signal_t zeta_t        d = gamma lambda

This is the actor of actor-critic with eligibility traces (Sutton and Barto 2018, section 13.5, without the factor
gamma^t). Left out: the derivative of separate averages of inputs and outputs, which does not record which action was
taken in which state.
"""

from torch import Tensor

from tracerl.config.checks import ConfigError
from tracerl.nn import functional as F
from tracerl.nn.averages import finite_mean
from tracerl.nn.heads import Head
from tracerl.nn.layers import Graded, distributions_of
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule, shape_in_words
from tracerl.nn.networks import ScoredNetwork
from tracerl.nn.stochastic_rounding import StochasticRounding
from tracerl.nn.views import SpikingNeurons
from tracerl.optim.rule import StepRule

_SILENT = 0.01  # spikes per tick below which a neuron counts as silent; above 1 minus it, as saturated


class TraceLearner(StateModule):
    """A network with the eligibility trace of its objective and its step-size rule.

    The objective is log pi(a_t) for a policy, V(s_t) for a critic, their weighted sum with the entropy for a shared
    trunk, and Q(s_t, a_t) for action values.

    Attributes:
        network: whose parameters are learned.
        step_rule: of this network alone.
        eligibility_trace: zeta_t, laid out as ``network.flat``, [*lifetimes, n].
    """

    eligibility_trace: Tensor
    tracked = ("eligibility_trace",)

    def __init__(
        self,
        network: ScoredNetwork,
        step_rule: StepRule,
        trace_decay: float,
        lifetimes: Lifetimes,
        rounding: StochasticRounding | None = None,
    ) -> None:
        """Initialise the trace at zero.

        Args:
            network: whose parameters are learned.
            step_rule: of this network alone.
            trace_decay: d = gamma lambda per env step.
            lifetimes: maker of tensors.
            rounding: of the weights after every update; None: they are not rounded.

        Raises:
            ConfigError: the settings of the rule did not build one.
        """
        if not isinstance(step_rule, StepRule):
            raise ConfigError("optimizer", f"must build a tracerl.optim.rule.StepRule, got {step_rule!r:.200}")
        super().__init__()
        self.network = network
        self.step_rule = step_rule
        self.rounding = rounding
        self.trace_decay = trace_decay
        self.register_buffer("eligibility_trace", lifetimes.zeros(network.flat.shape[-1]))

    def accumulate(self, learning_signal: Tensor) -> None:
        """Add the gradient of the objective at the present output to the trace, in place.

        Args:
            learning_signal: d objective / d y_t, [*lifetimes, n_out].
        """
        self.network.backward(learning_signal)
        F.accumulate_(self.eligibility_trace, self.trace_decay, self.network.score)

    def update(self, signal: Tensor) -> None:
        """Take one step along the trace, updating the network in place.

        Args:
            signal: factor of the trace, such as the td error, [*lifetimes].
        """
        if not self.step_rule.frozen:
            returned = self.step_rule(self.network, self.eligibility_trace, signal)
            if isinstance(returned, Tensor) and returned.shape == self.eligibility_trace.shape:
                name = type(self.step_rule).__name__
                problem = f"must change network.flat in forward and return nothing, {name} returns a step"
                raise ConfigError("optimizer", problem)
            self.network.align()
            if self.rounding is not None:
                self.rounding(self.network.flat)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset membranes and all traces, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        self.network.reset_state(mask)
        clear_(self.eligibility_trace, mask)

    def spiking_layers(self, name: str) -> dict[str, SpikingNeurons]:
        """Return the spiking layers by the name in their TensorBoard tags."""
        layers = enumerate(self.network.layers)
        return {f"{name}_{i}": layer for i, layer in layers if not isinstance(layer, Graded)}

    def distributions(self, name: str) -> dict[str, Tensor]:
        """Return weights, decays, thresholds and traces of the network's parts; see ``views.Distributed``."""
        found = dict[str, Tensor]()
        for part_name, part in self.network.parts(name).items():
            found |= distributions_of(part, part_name)
            found[f"traces/{part_name}"] = self.network.share(part, self.eligibility_trace)
        return found

    def diagnostics(self, name: str) -> dict[str, float]:
        """Return the norm of the trace and statistics of the spikes, by tag, averaged over the lifetimes."""
        found = {f"learn/trace_norm_{name}": finite_mean(self.eligibility_trace.norm(dim=-1).cpu().numpy())}
        for tag, layer in self.spiking_layers(name).items():
            rate = layer.rate.cpu().numpy()  # three times faster than torch for so few numbers
            found[f"spikes/{tag}_rate"] = float(rate.mean())
            found[f"spikes/{tag}_silent"] = float((rate < _SILENT).mean())
            found[f"spikes/{tag}_saturated"] = float((rate > 1 - _SILENT).mean())
        return found


def policy_gradient(head: Head, entropy_weight: float, signal: Tensor) -> Tensor:
    """Return the gradient of log pi(a) + tau sign(signal) H(pi) by the policy's outputs, [*lifetimes, n_outputs].

    The gradient is added to a trace that is multiplied by the signal. The entropy bonus therefore has the weight
    tau |signal|.

    Args:
        head: of the action a.
        entropy_weight: tau.
        signal: [*lifetimes].

    Raises:
        ConfigError: a gradient of the head is no tensor of the outputs' shape.
    """
    bonus = _by_outputs(head, "entropy_gradient", signal) * (entropy_weight * signal.sign()).unsqueeze(-1)
    return bonus.add_(_by_outputs(head, "score", signal))


def _by_outputs(head: Head, method: str, signal: Tensor) -> Tensor:
    """Return a gradient of a head, checked, because a sum would stretch one of another shape."""
    found, wanted = getattr(head, method)(), (*signal.shape, head.n_outputs)
    if isinstance(found, Tensor) and found.shape == wanted:
        return found
    problem = f"must return a tensor of the shape {wanted} from {method}, got {shape_in_words(found)}"
    raise ConfigError("head", problem)


class LogProbTrace(StateModule):
    """The trace l_t = d l_{t-1} + log pi(a_t) itself, for logging; learning uses its gradient.

    Attributes:
        trace: l_t in nats, [*lifetimes].
    """

    trace: Tensor

    def __init__(self, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Initialise at zero, with d = gamma lambda per env step."""
        super().__init__()
        self.trace_decay = trace_decay
        self.register_buffer("trace", lifetimes.zeros())

    def accumulate(self, log_probability: Tensor) -> None:
        """Add the log-probability of the action just taken, [*lifetimes], in place."""
        F.accumulate_(self.trace, self.trace_decay, log_probability)

    def average(self) -> Tensor:
        """Return (1-d) l_t, the averaged log-probability of traceTorch's REFLECT: [*lifetimes]."""
        return self.trace * (1 - self.trace_decay)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the trace, in place, in the lifetimes of the mask or in all."""
        clear_(self.trace, mask)
