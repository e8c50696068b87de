"""Which agents can be written as a C program."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tracerl.agents.reflect import ReflectAgent
from tracerl.config.checks import ConfigError
from tracerl.kernels.coverage import unsupported
from tracerl.nn.encoders import ContrastEncoder, RawEncoder, name_of
from tracerl.nn.heads import Categorical, Discretized, Gaussian, MultiCategorical
from tracerl.nn.networks import Dense
from tracerl.optim.intentional import BoundedIntentional
from tracerl.optim.obgd import OvershootingBounded
from tracerl.optim.update_rms import UpdateNormalized

_INT32 = np.iinfo(np.int32)
_RULES = {BoundedIntentional: "intentional", OvershootingBounded: "obgd", UpdateNormalized: "update_rms"}


def check_exportable(agent: Any) -> None:
    """Check that an agent can be written as C.

    Raises:
        ConfigError: naming the setting, what it must be for a C program and what it is.
    """
    problems = dict(_problems(agent))
    if not problems and (reason := unsupported(agent.encoder, agent.head, [agent.policy, agent.critic])):
        problems["agent"] = f"cannot be written as C, because the fused engine cannot compute it: {reason}"
    if problems:
        key, *others = problems
        raise ConfigError(key, "; ".join([problems[key], *(f"{other} {problems[other]}" for other in others)]))


def _problems(agent: Any) -> Iterator[tuple[str, str]]:
    if type(agent) is not ReflectAgent:
        yield "agent", f"must be reflect for a C program, got {type(agent).__name__}: train with agent=reflect"
        return
    if agent.lifetimes.shape:
        yield "agent", f"must be of one lifetime for a C program, got one of {agent.lifetimes.shape[0]}"
    settings = agent.settings
    of_network = dict(_problems_of_network("network", settings.network))
    yield from of_network.items()
    for name, needed in (("signal", "td"), ("trunk", "separate"), ("target_rate", 1.0)):
        value = getattr(settings, name)
        if value != needed:
            shown = int(needed) if isinstance(needed, float) else needed
            yield f"agent.{name}", f"must be {shown} for a C program, got {value}"
    if settings.weight_bits is not None:
        yield "deploy.rounding", "must be export for a C program, which learns with weights of 32 bits; got learning"
    if type(agent.encoder) not in (RawEncoder, ContrastEncoder):
        yield "encoder", f"must be raw or contrast for a C program, got {name_of(agent.encoder)}"
    if agent.divisor != 1:
        yield "encoder.normalize", "must be true for a C program where observations are images of bytes, got false"
    if type(agent.head) not in (Categorical, MultiCategorical, Discretized, Gaussian):
        problem = f"got a {type(agent.head).__name__} head: use an env with such actions"
        yield "env", f"must have Discrete, MultiDiscrete or Box actions for a C program, {problem}"
    elif type(agent.head) in (Discretized, Gaussian):
        if (dtype := agent.head.chosen().dtype) not in (np.float32, np.float64):
            yield "env", f"must have actions of float32 or float64 for a C program, got {dtype}"
    else:
        least, greatest = _actions(agent.head)
        if least < _INT32.min or greatest > _INT32.max:
            yield "env", f"must have actions of 32 bits for a C program, got {least:,} to {greatest:,}"
    for name, learner in (("policy", agent.policy), ("value", agent.critic)):
        if learner is not None and type(learner.step_rule) not in _RULES:
            problem = f"got {type(learner.step_rule).__name__}: train with optimizer=intentional"
            yield f"optimizer.{name}", f"must be one of {', '.join(_RULES.values())} for a C program, {problem}"
    if isinstance(settings.critic, Mapping) and type(settings.network) is Dense:
        for key, problem in _problems_of_network("agent.critic", replace(settings.network, **settings.critic)):
            if key.removeprefix("agent.critic.") in settings.critic:  # others are those of the policy
                yield key, problem


def _actions(head: Categorical | MultiCategorical) -> tuple[int, int]:
    """Return the least and the greatest number of an action."""
    first, counts = np.ravel(head.start).astype(object), np.ravel(head.sizes).astype(object)
    return int(first.min()), int((first + counts - 1).max())


def _problems_of_network(key: str, network: Any) -> Iterator[tuple[str, str]]:
    """Yield what the C program lacks of a network's settings."""
    if type(network) is not Dense:
        found = type(network).__name__
        if type(network).__module__.partition(".")[0] != "tracerl":
            yield f"{key}._target_", f"must build tracerl's own layers for a C program, got {found}"
            return
        yield key, f"must be of dense layers in a row for a C program, got {found}: train with network=normalized"
        return
    if network.neuron not in ("lif", "graded"):
        yield f"{key}.neuron", f"must be lif or graded for a C program, got {network.neuron}"
    if network.feedback != "symmetric":
        yield f"{key}.feedback", f"must be symmetric for a C program, got {network.feedback}"
    if network.credit == "exact":
        yield f"{key}.credit", "must be otpe or presynaptic for a C program, got exact"
    for name in ("recurrent", "learn_membrane_decay", "learn_threshold", "learn_readout_decay"):
        if getattr(network, name):
            yield f"{key}.{name}", "must be false for a C program, got true"
