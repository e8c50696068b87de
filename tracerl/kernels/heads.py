"""The action heads: ``nn.heads``, one to one; arguments as in ``neurons``, ``head`` is that of the agent's record.

Of the four kinds, CATEGORICAL has one component or several, with a grid the numbers of a Box, and EPSILON_GREEDY one,
with Q in place of log pi.
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels import functional as F
from tracerl.kernels.jit import kernel
from tracerl.kernels.layout import ABSENT, BERNOULLI, CATEGORICAL, EPSILON_GREEDY, GAUSSIAN, SARSA, WATKINS
from tracerl.kernels.memory import part
from tracerl.kernels.streams import next_uniform, uniform

_LEAST_STD = 1e-3  # nn.heads.gaussian.LEAST_STD
_UNBOUNDED = 1e30  # nn.spaces.UNBOUNDED


@kernel
def sample(memory: Any, words: Any, agent: Any, constants: Any, outputs: Any) -> None:
    """``Head.sample`` of the network's outputs, [n_outputs]."""
    head = agent.head
    if head.kind == CATEGORICAL:
        start = 0
        for i in range(head.n_components):
            start = sample_component(memory, words, agent, constants, outputs, i, start)
    elif head.kind == BERNOULLI:
        for i in range(head.n_components):
            logit = outputs[i]
            memory[head.logits + i] = logit
            memory[head.probabilities + i] = F.sigmoid(logit)
            drawn = uniform(words, agent.stream.counter)
            words[head.action + i] = 1 if (0.5 if agent.greedy else drawn) < memory[head.probabilities + i] else 0
    elif head.kind == EPSILON_GREEDY:
        sample_epsilon_greedy(memory, words, agent, outputs)
    else:
        sample_gaussian(memory, words, agent, constants, outputs)


@kernel
def sample_component(memory: Any, words: Any, agent: Any, constants: Any, outputs: Any, i: int, start: int) -> int:
    """Sample component i of a categorical action, its logits beginning at ``start``; return where they end."""
    head = agent.head
    n = int(constants[head.sizes + i])
    logits = part(outputs, start, n)
    log_probabilities = part(memory, head.log_probabilities + start, n)
    probabilities = part(memory, head.probabilities + start, n)
    largest, total = logits[0], memory.dtype.type(0)
    for a in range(1, n):
        largest = max(largest, logits[a])
    for a in range(n):
        total += math.exp(logits[a] - largest)
    log_total = math.log(total)
    chance, cumulative, action, likeliest = uniform(words, agent.stream.counter), memory.dtype.type(0), 0, 0
    for a in range(n):
        log_probabilities[a] = logits[a] - largest - log_total
        probabilities[a] = math.exp(log_probabilities[a])
        if probabilities[a] > probabilities[likeliest]:
            likeliest = a
        cumulative += probabilities[a]
        if a < n - 1 and cumulative <= chance:
            action += 1
    words[head.action + i] = likeliest if agent.greedy else action
    return start + n


@kernel
def sample_gaussian(memory: Any, words: Any, agent: Any, constants: Any, outputs: Any) -> None:
    """``Gaussian.sample``."""
    head, n, real, wide = agent.head, agent.head.n_components, memory.dtype.type, words.view(np.float64)
    for i in range(n):
        low, high = constants[head.low + i], constants[head.high + i]
        rho = outputs[n + i]
        mean, std, gain = outputs[i], F.softplus(rho), F.sigmoid(rho)
        if head.each_std > 0 and has_range(constants, head, i):
            std = gain * real(head.each_std)
            gain = std - gain * std
        elif has_range(constants, head, i):
            std, gain = std * real(head.std_unit), gain * real(head.std_unit)
        std += real(_LEAST_STD)
        if head.mean_margin >= 0:
            margin = std * real(head.mean_margin)
            lowest, highest = real(constants[head.ends + i]), real(constants[head.ends + n + i])
            mean = min(max(mean, lowest - margin), highest + margin)
            memory[head.excess + i] = outputs[i] - mean
        memory[head.mean + i], memory[head.std + i], memory[head.std_gain + i] = mean, std, gain
        u = uniform(words, agent.stream.counter)
        noise = F.box_muller(u, uniform(words, agent.stream.counter))
        action = mean if agent.greedy else mean + std * real(noise)
        memory[head.action + i] = action
        sent = constants[head.centre + i] + float(action) * constants[head.half_range + i]
        wide[head.sent + i] = min(max(sent, low), high)


@kernel
def has_range(constants: Any, head: Any, i: int) -> bool:
    """Return whether number i of a Box has two finite bounds."""
    return bool(constants[head.low + i] > -_UNBOUNDED and constants[head.high + i] < _UNBOUNDED)


@kernel
def epsilon(words: Any, head: Any) -> float:
    """``EpsilonGreedy.epsilon``."""
    passed = min(words[head.taken] / head.epsilon_steps, 1.0)
    return float(head.epsilon_start + (head.epsilon_end - head.epsilon_start) * passed)


@kernel
def atom(head: Any, k: int) -> float:
    """Return z_k of ``EpsilonGreedy``."""
    return float(head.value_range * (2 * k / max(head.atoms - 1, 1) - 1))


@kernel
def action_values(head: Any, outputs: Any, values: Any) -> int:
    """``EpsilonGreedy.values_of``: write Q of every action to ``values``; return the best one."""
    real, best, n = outputs.dtype.type, 0, head.atoms
    for a in range(head.n_actions):
        values[a] = outputs[a]
        if n > 1:
            logits, weighted, total = part(outputs, a * n, n), real(0), real(0)
            largest = logits.max()
            for k in range(n):
                share = math.exp(logits[k] - largest)
                total += share
                weighted += share * real(atom(head, k))
            values[a] = weighted / total
        if values[a] > values[best]:
            best = a
    return best


@kernel
def inverted(head: Any, real: Any, epsilon: float, best: int, chance: float) -> int:
    """Return the action at which the cumulative distribution of the policy exceeds a number in [0, 1)."""
    action, cumulative = 0, real(0)
    for a in range(head.n_actions - 1):
        cumulative += probability(head, real, epsilon, a == best)
        if cumulative <= chance:
            action += 1
    return action


@kernel
def probability(head: Any, real: Any, epsilon: float, is_best: bool) -> Any:
    """Return one number of ``EpsilonGreedy.policy_of``."""
    return real(epsilon) / real(head.n_actions) + (real(1) - real(epsilon)) * real(is_best)


@kernel
def bootstrap(words: Any, agent: Any, outputs: Any, values: Any) -> Any:
    """``EpsilonGreedy.bootstrap``; ``values``, [n_actions], is written."""
    head, real = agent.head, outputs.dtype.type
    best = action_values(head, outputs, values)
    if head.target == WATKINS:
        return values[best]
    chance_of_any = epsilon(words, head)
    if head.target == SARSA:
        return values[inverted(head, real, chance_of_any, best, next_uniform(words, agent.stream.counter))]
    total = real(0)
    for a in range(head.n_actions):
        total += probability(head, real, chance_of_any, a == best) * values[a]
    return total


@kernel
def sample_epsilon_greedy(memory: Any, words: Any, agent: Any, outputs: Any) -> None:
    """``EpsilonGreedy.sample``."""
    head, real, n = agent.head, memory.dtype.type, agent.head.atoms
    values, weights = part(memory, head.values, head.n_actions), part(memory, head.weights, n)
    best, chance_of_any = action_values(head, outputs, values), epsilon(words, head)
    chance = uniform(words, agent.stream.counter)
    action = best if agent.greedy else inverted(head, real, chance_of_any, best, chance)
    for a in range(head.n_actions):
        memory[head.probabilities + a] = probability(head, real, chance_of_any, a == best)
    words[head.action], words[head.explored] = action, action != best
    words[head.taken] += 1
    if n > 1:
        logits, total = part(outputs, action * n, n), real(0)
        largest = logits.max()
        for k in range(n):
            weights[k] = math.exp(logits[k] - largest)
            total += weights[k]
        for k in range(n):
            weights[k] *= (real(atom(head, k)) - values[action]) / total


@kernel
def log_probability(memory: Any, words: Any, head: Any, constants: Any) -> Any:
    """``Head.log_probability``."""
    total = memory.dtype.type(0)
    if head.kind == CATEGORICAL:
        start = head.log_probabilities
        for i in range(head.n_components):
            total += memory[start + words[head.action + i]]
            start += int(constants[head.sizes + i])
    elif head.kind == BERNOULLI:
        for i in range(head.n_components):
            logit = memory[head.logits + i]
            total += logit * memory.dtype.type(words[head.action + i]) - F.softplus(logit)
    elif head.kind == EPSILON_GREEDY:
        chosen_with = memory[head.probabilities + words[head.action]]
        total = math.log(max(chosen_with, memory.dtype.type(np.finfo(memory.dtype).tiny)))
    else:
        for i in range(head.n_components):
            action, mean, std = memory[head.action + i], memory[head.mean + i], memory[head.std + i]
            least, most = constants[head.least + i], constants[head.most + i]
            total += F.clipped_gaussian_log_probability(action, mean, std, least, most)
    return total


@kernel
def entropy(memory: Any, head: Any) -> Any:
    """``Head.entropy``."""
    total = memory.dtype.type(0)
    if head.kind == CATEGORICAL:
        n = head.n_outputs
        total = F.categorical_entropy(part(memory, head.probabilities, n), part(memory, head.log_probabilities, n))
    elif head.kind == BERNOULLI:
        for i in range(head.n_components):
            total += F.bernoulli_entropy(memory[head.logits + i], memory[head.probabilities + i])
    elif head.kind == EPSILON_GREEDY:
        for a in range(head.n_actions):
            share = memory[head.probabilities + a]
            if share > 0:
                total -= share * math.log(share)
    else:
        for i in range(head.n_components):
            total += F.gaussian_entropy(memory[head.std + i])
    return total


@kernel
def learning_signal(memory: Any, words: Any, head: Any, constants: Any, weight: Any, g: Any) -> None:
    """``Head.score`` plus a weight times ``Head.entropy_gradient``: written to g, [n_outputs]."""
    if head.kind == CATEGORICAL:
        categorical_signal(memory, words, head, constants, weight, g)
    elif head.kind == BERNOULLI:
        for i in range(head.n_components):
            probability, taken = memory[head.probabilities + i], memory.dtype.type(words[head.action + i])
            bonus = F.bernoulli_entropy_gradient(memory[head.logits + i], probability)
            g[i] = taken - probability + weight * bonus
    elif head.kind == EPSILON_GREEDY:
        for i in range(head.n_outputs):
            g[i] = 0
        for k in range(head.atoms):
            g[words[head.action] * head.atoms + k] = memory[head.weights + k]
    else:
        gaussian_signal(memory, head, constants, weight, g)


@kernel
def categorical_signal(memory: Any, words: Any, head: Any, constants: Any, weight: Any, g: Any) -> None:
    """``learning_signal`` of a categorical head."""
    start = 0
    for i in range(head.n_components):
        n = int(constants[head.sizes + i])
        probabilities = part(memory, head.probabilities + start, n)
        log_probabilities = part(memory, head.log_probabilities + start, n)
        total = F.categorical_entropy(probabilities, log_probabilities)
        for a in range(n):
            bonus = F.categorical_entropy_gradient(probabilities[a], log_probabilities[a], total)
            g[start + a] = weight * bonus - probabilities[a]
        g[start + words[head.action + i]] += memory.dtype.type(1)
        start += n


@kernel
def gaussian_signal(memory: Any, head: Any, constants: Any, weight: Any, g: Any) -> None:
    """``learning_signal`` of a Gaussian head, with ``functional.clipped_gaussian_score``.

    That one is written out: as a function of its own, its divisions would be rounded in another order.
    """
    real, n = memory.dtype.type, head.n_components
    for i in range(n):
        action, mean, std = memory[head.action + i], memory[head.mean + i], memory[head.std + i]
        gain, least, most = memory[head.std_gain + i], constants[head.least + i], constants[head.most + i]
        bonus, draw = weight, real(0)
        if head.target_std > 0 and std >= real(head.target_std) and has_range(constants, head, i):
            bonus = real(0)
        elif head.each_reference > 0 and has_range(constants, head, i):
            low, high = constants[head.ends + i], constants[head.ends + n + i]
            bonus = weight * F.relative_entropy_by_log_std(std, head.each_reference)
            draw = weight * F.relative_entropy_by_mean(mean, low, high, head.each_reference)
        side, distance = F.beyond(float(action), float(mean), float(std), least, most)
        if side != 0:
            hazard = F.hazard(distance)
            g[i] = real(side * hazard) / std
            g[n + i] = gain * (real(distance * hazard) + bonus) / std
        else:
            z = (action - mean) / std
            g[i] = z / std
            g[n + i] = gain * (z * z - real(1) + bonus) / std
        g[i] += draw
        if head.mean_margin >= 0:
            g[i] -= weight * memory[head.excess + i] / std / std


@kernel
def chosen(words: Any, head: Any, constants: Any) -> float:
    """Return the newest action of one component as a compiled env takes it: an index, or a float32 in its units."""
    if head.kind == GAUSSIAN:
        return float(np.float32(words.view(np.float64)[head.sent]))
    if head.grid != ABSENT:
        return float(np.float32(constants[head.grid + words[head.action]]))
    return float(words[head.action])
