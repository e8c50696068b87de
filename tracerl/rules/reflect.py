"""REFLECT(lambda): the trace of log-probabilities of the sampled actions, differentiated, times a scalar signal.

traceTorch's REFLECT keeps l_t = d l_{t-1} + log pi(a_t) and multiplies it by a reward signal. Its gradient, with
weights held fixed, is the trace of the product kept here, one number per parameter:

    zeta_t = d zeta_{t-1} + grad log pi(a_t)        theta += alpha_t signal_t zeta_t        d = gamma lambda

which is the actor of actor-critic with eligibility traces (Sutton and Barto 2018, section 13.5, without the factor
gamma^t). Left out: differentiating separate averages of inputs and outputs, which loses which action was taken in
which state.
"""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.averages import finite_mean
from tracerl.nn.heads import Head
from tracerl.nn.layers import Graded, distributions_of
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule
from tracerl.nn.networks import ScoredNetwork
from tracerl.nn.views import SpikingNeurons
from tracerl.optim.rule import StepRule


class TraceLearner(StateModule):
    """A network with the eligibility trace of its objective and the rule that turns the trace into a step.

    The objective of a policy is log pi(a_t), that of a critic V(s_t).

    Attributes:
        eligibility_trace: zeta_t, laid out as ``network.flat``, [*lifetimes, n].
    """

    eligibility_trace: Tensor
    tracked = ("eligibility_trace",)

    def __init__(self, network: ScoredNetwork, step_rule: StepRule, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Start with an empty trace.

        Args:
            network: whose parameters are learned.
            step_rule: of this network alone.
            trace_decay: d = gamma lambda per env step.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.network = network
        self.step_rule = step_rule
        self.trace_decay = trace_decay
        self.register_buffer("eligibility_trace", lifetimes.zeros(network.flat.shape[-1]))

    def accumulate(self, learning_signal: Tensor) -> None:
        """Add the score of the present output to the trace, in place.

        Args:
            learning_signal: d objective / d y_t, [*lifetimes, n_out].
        """
        self.network.backward(learning_signal)
        F.accumulate_(self.eligibility_trace, self.trace_decay, self.network.score)

    def update(self, signal: Tensor) -> None:
        """Take one step along the trace, updating the network in place.

        Args:
            signal: the scalar everything is multiplied by, [*lifetimes].
        """
        if not self.step_rule.frozen:
            self.step_rule(self.network, self.eligibility_trace, signal)
            self.network.align()

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Clear membranes and every trace, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        self.network.reset_state(mask)
        clear_(self.eligibility_trace, mask)

    def spiking_layers(self, name: str) -> dict[str, SpikingNeurons]:
        """Return the layers that spike by name, as their tags have them."""
        layers = enumerate(self.network.layers)
        return {f"{name}_{i}": layer for i, layer in layers if not isinstance(layer, Graded)}

    def distributions(self, name: str) -> dict[str, Tensor]:
        """Return what the network is made of, and the trace of each of its parts; see ``views.Distributed``."""
        found = dict[str, Tensor]()
        for part_name, part in self.network.parts(name).items():
            found |= distributions_of(part, part_name)
            found[f"traces/{part_name}"] = self.network.share(part, self.eligibility_trace)
        return found

    def diagnostics(self, name: str) -> dict[str, float]:
        """Return the norm of the trace and how the neurons spike, by tag, averaged over the lifetimes."""
        found = {f"learn/trace_norm_{name}": finite_mean(self.eligibility_trace.norm(dim=-1).cpu().numpy())}
        for tag, layer in self.spiking_layers(name).items():
            rate = layer.rate.cpu().numpy()  # a third of the time that torch takes for so few numbers
            found[f"spikes/{tag}_rate"] = float(rate.mean())
            found[f"spikes/{tag}_silent"] = float((rate < _SILENT).mean())
            found[f"spikes/{tag}_saturated"] = float((rate > 1 - _SILENT).mean())
        return found


def policy_gradient(head: Head, entropy_weight: float, signal: Tensor) -> Tensor:
    """Return the gradient of log pi(a) + tau sign(signal) H(pi) by the policy's outputs, [*lifetimes, n_outputs].

    The trace that it joins is multiplied by the signal, so that the bonus for entropy has the weight tau |signal|.

    Args:
        head: of the action a.
        entropy_weight: tau.
        signal: [*lifetimes].
    """
    bonus = head.entropy_gradient() * (entropy_weight * signal.sign()).unsqueeze(-1)
    return bonus.add_(head.score())


_SILENT = 0.01  # a neuron that spikes in fewer ticks than this share counts as silent; in more than 1 - it, saturated


class LogProbTrace(StateModule):
    """The trace l_t = d l_{t-1} + log pi(a_t) itself: kept to be watched, its gradient is what learns.

    Attributes:
        trace: l_t in nats, [*lifetimes].
    """

    trace: Tensor

    def __init__(self, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Start empty, with d = gamma lambda per env step."""
        super().__init__()
        self.trace_decay = trace_decay
        self.register_buffer("trace", lifetimes.zeros())

    def accumulate(self, log_probability: Tensor) -> None:
        """Add the log-probability of the action just taken, [*lifetimes], in place."""
        F.accumulate_(self.trace, self.trace_decay, log_probability)

    def average(self) -> Tensor:
        """Return (1-d) l_t, the averaged log-probability of the seed's REFLECT: [*lifetimes]."""
        return self.trace * (1 - self.trace_decay)

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Forget, in place, in the lifetimes of the mask or in all."""
        clear_(self.trace, mask)
