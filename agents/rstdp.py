"""Reward-modulated STDP: action neurons that learn from spike pairs and one scalar, without a gradient.

    observation -> encoder -> on and off rates -> Bernoulli spikes -> action neurons -> most spikes wins -> action

Every env step runs ``ticks`` ticks of one layer of leaky integrate-and-fire neurons, ``population`` of them per action,
with noise and lateral inhibition. The synapses from the inputs learn by ``tracerl.rules.stdp``.

The action is the one whose neurons spiked most often (winner-take-all); ties are broken at random. Exploration comes
from noise in the membrane instead of a softmax over counts. So the credited spikes are those that chose the action, and
exploration ends where the weights of one action are large compared with the noise.

Only the spikes of the chosen action's neurons are credited (``winner_only``). An input spike drives the neurons of all
actions in the same tick, before inhibition separates them, and would otherwise reinforce all of them alike.
"""

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from tracerl.config import checks
from tracerl.config.ignored import ignored
from tracerl.nn.averages import Averages, finite_mean
from tracerl.nn.encoders import EncoderSettings
from tracerl.nn.encoders.on_off import on_off_rates
from tracerl.nn.layers.competing import CompetingLIF
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.normalizers import RewardScaler, scale_reward
from tracerl.nn.random import UniformStream
from tracerl.nn.spaces import discrete_actions, observation_shape
from tracerl.nn.views import PolicyOutputs, SpikingNeurons
from tracerl.rules.linear_value import LinearValue
from tracerl.rules.signals import AdvantageSignal, RewardSignal
from tracerl.rules.stdp import STDP

from .common.online import OnlineAgent

SIGNALS = ("advantage", "reward", "td")
WATCHED = ("learn/td_error", "learn/td_error_magnitude", "spikes/input_rate", "spikes/margin")  # summed at every step
_TIE = 0.5  # largest random tie-breaker, in spikes
_LEAST_SPIKES = 1e-9  # lower bound of the divisor of the shares, which are 0 without spikes
_TINY = 2.0**-54  # keeps a uniform number above 0, where the normal quantile is infinite


@dataclass(frozen=True, kw_only=True)
class RSTDPSettings:
    """Settings of ``RSTDPAgent``; defaults in ``configs/agent/rstdp.yaml``.

    Attributes:
        encoder: from observations to features, which become on and off rates; they are constant over all ticks.
        stdp: of the synapses from inputs to action neurons.
        signal: ``advantage``: reward minus its running average. ``reward``: the reward. ``td``: td error of a linear
            critic. The first two are 0 or constant in tasks whose reward is the same at every step, such as CartPole.
        discount: gamma per env step (``td``, and scale of the reward).
        trace_decay: lambda of the critic's trace per env step (``td``).
        value_step: alpha, step size of the critic, in (0, 1] (``td``).
        average_decay: decay of the reward's running average per env step (``advantage``).
        scale_reward: divide rewards by the running deviation of their discounted sum.
        ticks: network ticks per env step.
        population: neurons per action.
        rate_gain: spikes per tick and unit of the encoder's output, at most one per tick.
        tonic_rate: spikes per tick of one additional input, which acts as a bias, in [0, 1].
        input_gain: current per spike and unit of weight, divided by the root of the encoder's size.
        membrane_decay: m per tick.
        threshold: theta, in units of the membrane.
        inhibition: current subtracted for each other action whose neurons all spiked at the previous tick.
        noise: standard deviation of the current's noise, per neuron and tick.
        winner_only: pair only the spikes of the chosen action's neurons with those of the inputs.
    """

    encoder: EncoderSettings
    stdp: STDP
    signal: str
    discount: float
    trace_decay: float
    value_step: float
    average_decay: float
    scale_reward: bool
    ticks: int
    population: int
    rate_gain: float
    tonic_rate: float
    input_gain: float
    membrane_decay: float
    threshold: float
    inhibition: float
    noise: float
    winner_only: bool

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        checks.part("encoder", self.encoder)
        checks.part("stdp", self.stdp)
        checks.choice("signal", self.signal, SIGNALS)
        for name in ("discount", "trace_decay", "tonic_rate"):
            checks.unit_interval(name, getattr(self, name))
        checks.decay("average_decay", self.average_decay)
        checks.flag("scale_reward", self.scale_reward)
        checks.flag("winner_only", self.winner_only)
        checks.whole("ticks", self.ticks, 1)
        checks.whole("population", self.population, 1)
        checks.number("value_step", self.value_step, "a number in (0, 1]", 0.0, 1.0, closed="(]")
        for name in ("rate_gain", "input_gain", "threshold"):
            checks.positive(name, getattr(self, name))
        checks.decay("membrane_decay", self.membrane_decay)
        checks.non_negative("inhibition", self.inhibition)
        checks.non_negative("noise", self.noise)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        found, signal = ignored(self.encoder, "encoder"), f"with agent.signal={self.signal}"
        if self.signal != "advantage":
            found["average_decay"] = signal
        if self.signal != "td":
            found |= dict.fromkeys(("trace_decay", "value_step"), signal)
            if not self.scale_reward:
                found["discount"] = f"{signal} and agent.scale_reward=false"
        return found


class RSTDPAgent(OnlineAgent):
    """Learn online, from each transition once, by spike pairs that a scalar signal reinforces.

    One env step updates the weights by the signal of the last transition times the eligibility and decays the
    eligibility. It then encodes the new observation as spikes for ``ticks`` ticks, adds their pairs to the eligibility
    and acts. Membranes, spike traces and eligibility are reset at the end of an episode.
    """

    Settings = RSTDPSettings
    counts: Tensor
    action: Tensor
    critic: LinearValue | None

    def __init__(
        self, observation_space: Space[Any], action_space: Space[Any], lifetimes: Lifetimes, **settings: Any
    ) -> None:
        """Build the agent for the spaces of an env.

        Args:
            observation_space: a Box; observations are flattened.
            action_space: a Discrete space.
            lifetimes: how many lifetimes, from which seeds; maker of all tensors.
            settings: see ``RSTDPSettings``.

        Raises:
            ConfigError: naming the setting, or ``env`` where its spaces are not supported.
        """
        super().__init__()
        self.settings = own = RSTDPSettings(**settings)
        n_actions, self.first_action = discrete_actions(action_space)
        self.encoder = own.encoder.build_held(observation_shape(observation_space), lifetimes)
        self._observe(observation_space, self.encoder)
        self.n_inputs = 2 * self.encoder.n_out + 1
        self.input_scale = own.input_gain / self.encoder.n_out**0.5
        constants = {name: getattr(own, name) for name in ("membrane_decay", "threshold", "inhibition")}
        self.neurons = CompetingLIF(n_actions, own.population, lifetimes, **constants)
        self.synapses = own.stdp.build(self.n_inputs, self.neurons.n, lifetimes)
        self.stream = UniformStream(lifetimes)
        self.reward_scaler = RewardScaler(own.discount, lifetimes) if own.scale_reward else None
        self.critic = None
        if own.signal == "td":
            self.critic = LinearValue(self.n_inputs - 1, own.value_step, own.discount, own.trace_decay, lifetimes)
        # Also part of the state where signal=td, which does not use it: saved agents have it.
        self.baseline = RewardSignal() if own.signal == "reward" else AdvantageSignal(own.average_decay, lifetimes)
        self.register_buffer("counts", lifetimes.zeros(n_actions))
        self.register_buffer("action", lifetimes.zeros(dtype=torch.int64))
        self.watched = Averages(WATCHED, lifetimes)
        self._pack(lifetimes)

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect beside the others; see ``tracerl.config.ignored``."""
        return self.settings.ignored_settings()

    def _rates(self, current: Tensor) -> Tensor:
        return on_off_rates(current, self.settings.rate_gain, self.settings.tonic_rate)

    def _begin(self, observation: Tensor) -> Tensor:
        """Process the first observation of an episode and return its rates."""
        rates = self._rates(self.encoder.begin(observation))
        if self.critic is not None:
            self.critic.see(rates[..., :-1])
        return rates

    def _learn(self, reward: Tensor, observation: Tensor, continues: Tensor) -> Tensor:
        """Update weights and critic from one transition and return the rates of the new observation."""
        rates = self._rates(self.encoder(observation))
        reward = scale_reward(self.reward_scaler, reward, self.lifetimes.dtype)
        if self.critic is not None:
            signal = self.critic.learn(reward, rates[..., :-1], continues)
        else:
            signal = self.baseline(reward)
        if not self._check_finite(signal):
            return rates
        self.synapses.update(signal)
        self._check_finite(self.synapses.weight.sum((-2, -1)))  # a NaN in the weights does not show in the spikes
        self._watch(signal, rates)
        return rates

    def _act(self, rates: Tensor) -> None:
        """Advance the neurons by one env step, choose an action and credit the spikes."""
        inputs, currents, ties = self._drive(rates)
        outputs = torch.empty_like(currents)
        for tick in range(self.settings.ticks):
            outputs[..., tick, :] = self.neurons(currents[..., tick, :])
        self.counts.copy_(self.neurons.per_group(outputs.sum(-2)))
        # A random number below one spike of one neuron breaks ties and changes nothing else.
        ties = ties.to(self.counts.dtype).mul_(_TIE / self.settings.population)
        self.action.copy_((self.counts + ties).argmax(-1))
        self._credit(inputs, outputs)

    def _credit(self, inputs: Tensor, outputs: Tensor) -> None:
        """Add the spike pairs of an env step to the eligibility of the synapses.

        Args:
            inputs: input spikes, [*lifetimes, ticks, n_inputs].
            outputs: spikes of the neurons, [*lifetimes, ticks, n].
        """
        if self.settings.winner_only:
            won = torch.zeros_like(self.counts).scatter_(-1, self.action.unsqueeze(-1), 1.0)
            outputs = outputs * self.neurons.spread(won).unsqueeze(-2)
        self.synapses.fade()
        for tick in range(self.settings.ticks):
            self.synapses.tick(inputs[..., tick, :], outputs[..., tick, :])

    def _drive(self, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw all random numbers of an env step at once.

        Args:
            rates: [*lifetimes, n_inputs].

        Returns:
            Input spikes, [*lifetimes, ticks, n_inputs]; currents of the neurons, [*lifetimes, ticks, n]; one number in
            [0, 1) per action.
        """
        ticks, n = self.settings.ticks, self.neurons.n
        uniform = self.stream.draw_many(ticks * (self.n_inputs + n) + self.neurons.groups)
        for_inputs, for_noise, ties = uniform.split([ticks * self.n_inputs, ticks * n, self.neurons.groups], -1)
        inputs = (for_inputs.unflatten(-1, (ticks, -1)) < rates.unsqueeze(-2)).to(self.lifetimes.dtype)
        currents = torch.matmul(inputs, self.synapses.weight).mul_(self.input_scale)
        noise = torch.special.ndtri(for_noise.unflatten(-1, (ticks, -1)) + _TINY).to(self.lifetimes.dtype)
        return inputs, currents.add_(noise, alpha=self.settings.noise), ties

    def _clear(self, mask: Tensor | None) -> None:
        """Reset membranes and traces at the end of an episode, in the lifetimes of the mask or in all."""
        self.neurons.reset_state(mask)
        self.synapses.reset_state(mask)
        if self.critic is not None:
            self.critic.reset_state(mask)
        if self.reward_scaler is not None:
            self.reward_scaler.end_episode(mask)

    def _learned(self) -> list[Tensor]:
        learned = [self.synapses.weight]
        return learned if self.critic is None else [*learned, self.critic.weight]

    def spiking_layers(self) -> dict[str, SpikingNeurons]:
        """Return the action neurons; see ``tracerl.nn.views.Visible``."""
        return {"action": self.neurons}

    def policy_outputs(self) -> PolicyOutputs:
        """Return each action's share of the neurons' spikes; see ``tracerl.nn.views.Visible``."""
        total = self.counts.sum(-1, keepdim=True)
        value = None if self.critic is None else self.critic.value
        return PolicyOutputs(self.counts / total.clamp(min=_LEAST_SPIKES), value=value)

    def distributions(self) -> dict[str, Tensor]:
        """Return weights and eligibility of the synapses and of the critic; see ``tracerl.nn.views.Distributed``."""
        found = {"weights/action": self.synapses.weight, "traces/action": self.synapses.eligibility}
        if self.critic is None:
            return found
        return found | {"weights/value": self.critic.weight, "traces/value": self.critic.eligibility_trace}

    def _chosen(self) -> Any:
        if self.action.dim() == 0:
            return self.action.item() + self.first_action
        return self.action.cpu().numpy() + self.first_action

    def _watch(self, signal: Tensor, rates: Tensor) -> None:
        """Add this step's quantities, in the order of ``WATCHED``."""
        shape = self.counts.shape
        best = self.counts.topk(2, -1).values if shape[-1] > 1 else self.counts.expand(*shape[:-1], 2)
        margin = best[..., 0] - best[..., 1]
        self.watched.add(signal, signal.abs(), rates.mean(-1), margin)

    @torch.inference_mode()
    def diagnostics(self) -> dict[str, float]:
        """Return the quantities to log, averaged since the last call; see ``Agent.diagnostics``."""
        found = super().diagnostics() | self.watched.means()
        rule, weight = self.synapses.settings, self.synapses.weight
        found["spikes/action_rate"] = float(self.neurons.rate.mean())
        found["learn/weight"] = finite_mean(weight.flatten(-2).mean(-1).cpu().numpy())
        found["learn/weight_at_bounds"] = float(((weight <= rule.low) | (weight >= rule.high)).float().mean())
        found["learn/eligibility_norm"] = finite_mean(self.synapses.eligibility.flatten(-2).norm(dim=-1).cpu().numpy())
        return found
