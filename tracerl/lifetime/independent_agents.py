"""The agents of a run: one for all lifetimes, or one per lifetime if the class supports only one."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tracerl.config.checks import ConfigError
from tracerl.config.moved import keep_names, previous_method
from tracerl.lifetime.arguments import check_state, origin_of, steps_of
from tracerl.lifetime.diagnostics import diagnostics_of, problem_of
from tracerl.lifetime.protocol import Action, Agent, AgentMethods, AgentOrigin, Observation, StepType, reset_episode
from tracerl.nn.averages import finite_mean
from tracerl.nn.lifetimes import Lifetimes


def build_agents(
    agent_class: type, make: Callable[..., Any], new_lifetimes: Callable[[Any], Lifetimes], seeds: Sequence[int]
) -> Any:
    """Build the agent of one lifetime or of many.

    Args:
        agent_class: class that ``make`` builds. It supports many lifetimes if it has ``advance`` (``ManyAgents``).
        make: function of ``lifetimes``, or of ``lives`` (its previous name), that returns an agent.
        new_lifetimes: function from one seed, or from a list of seeds, to their ``Lifetimes``.
        seeds: one per lifetime.
    """
    parameters = inspect.signature(agent_class).parameters
    name = "lives" if "lives" in parameters and "lifetimes" not in parameters else "lifetimes"
    if len(seeds) == 1:
        return make(**{name: new_lifetimes(seeds[0])})
    if hasattr(agent_class, "advance"):
        return make(**{name: new_lifetimes(list(seeds))})
    return IndependentAgents([make(**{name: new_lifetimes(seed)}) for seed in seeds])


def take_step(agent: AgentMethods, step_type: int, reward: float, observation: Observation, action: Action) -> Action:
    """Call the method of an agent of one lifetime that a step type stands for; SKIP stands for none.

    Args:
        agent: of one lifetime.
        step_type: a ``StepType``.
        reward: of the last action; not used at FIRST.
        observation: newest one.
        action: newest action before.

    Returns:
        The newest action after.
    """
    if step_type == StepType.FIRST:
        return agent.start(observation)
    if step_type == StepType.MID:
        return agent.step(reward, observation)
    if step_type != StepType.SKIP:
        agent.end(reward, observation, bool(step_type == StepType.TERMINATED))
    return action


class IndependentAgents:
    """Agents of one lifetime each, with the interface of many lifetimes.

    Attributes:
        built_from: settings, spaces and seeds if ``tracerl.make_agent`` or a run built the agents.
    """

    built_from: AgentOrigin | None = None

    def __init__(self, agents: Sequence[Agent]) -> None:
        self.agents = list(agents)
        self._actions: list[Action] = [None] * len(self.agents)
        self._begun = np.zeros(len(self.agents), np.bool_)

    def advance(
        self, step_types: np.ndarray[Any, Any], rewards: np.ndarray[Any, Any], observations: Observation
    ) -> np.ndarray[Any, Any]:
        """Take one step per lifetime; see ``ManyAgents.advance``.

        Raises:
            ConfigError: naming an argument of another number of lifetimes or of other values.
        """
        n = len(self.agents)
        step_types, rewards = steps_of(step_types, rewards, n)
        if len(observations) != n:
            raise ConfigError("observations", f"must be of {n} lifetimes, got {len(observations)}")
        for i, agent in enumerate(self.agents):
            given = int(step_types[i]), float(rewards[i]), observations[i]
            self._actions[i] = take_step(agent, *given, self._actions[i])
        self._begun |= step_types != StepType.SKIP
        for i, action in enumerate(self._actions):
            if action is None and self._begun[i]:
                raise ConfigError("agent", f"must return an action, got None of lifetime {i}")
        usual = next((action for action in self._actions if action is not None), None)
        # A lifetime whose env failed at its first reset has no action, and its env is not stepped.
        return np.asarray([usual if action is None else action for action in self._actions])

    def capture(self) -> dict[str, Any]:
        """Return the state of each agent; see ``Stateful.capture``."""
        each = enumerate(self.agents)
        return {f"{i}.{name}": tensor for i, agent in each for name, tensor in agent.capture().items()}  # type: ignore[attr-defined]

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of each agent; see ``Stateful.restore``."""
        check_state(state)
        for i, agent in enumerate(self.agents):
            start = f"{i}."
            own = {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
            agent.restore(own)  # type: ignore[attr-defined]

    def save(self, path: str | Path) -> None:
        """Write settings, spaces and state to one file; see ``PackedAgent.save``."""
        origin_of(self).write(self, path)

    def reset_episode(self) -> None:
        """Clear the state of the running episodes; see ``Stateful.reset_episode``."""
        for agent in self.agents:
            reset_episode(agent)  # type: ignore[arg-type]

    abandon = previous_method("abandon", "reset_episode")

    def diagnostics(self) -> dict[str, float]:
        """Return the mean diagnostics of the agents; see ``finite_mean``."""
        each: list[Any] = [diagnostics_of(agent) for agent in self.agents]
        for found in each:
            if problem_of(found) is not None:
                return found  # type: ignore[no-any-return]  # the log names what is wrong with it
        tags = dict.fromkeys(tag for found in each for tag in found)
        return {tag: finite_mean(np.array([found[tag] for found in each if tag in found])) for tag in tags}


keep_names(globals(), Population="IndependentAgents", carry_out="take_step")
