"""The default agent in NumPy: REFLECT(lambda) with a spiking policy and a critic, learning CartPole online.

python examples/reflect_in_one_file.py [STEPS] [SEED]

No replay, no backpropagation through time. It takes the actions of `agent=reflect engine=torch dtype=float64`.
"""

import sys
from typing import Any

import gymnasium as gym
import numpy as np

Array = np.ndarray[Any, Any]
DISCOUNT, TRACE_DECAY, ENTROPY, SLOPE = 0.99, 0.99 * 0.9, 0.1, 2.0  # gamma; gamma lambda; tau; of psi at the threshold


class RunningMean:
    """mean = decay mean + (1-decay) value, corrected for its start at 0 (Kingma and Ba 2015, arXiv:1412.6980)."""

    mean, start = 0.0, 1.0  # before the correction; weight of the start in it

    def add(self, value: Any, decay: float) -> Any:
        """Add a value, a number or an array, and return the mean."""
        self.mean, self.start = decay * self.mean + (1 - decay) * value, decay * self.start
        return self.mean / (1 - self.start)


class RunningMoments:
    """Mean of all values and their summed squared deviations (Welford 1962, https://doi.org/10.2307/1266577)."""

    count, mean, squares = 0, np.zeros(1), np.zeros(1)

    def add(self, value: Array, variance_of_one: Any) -> Any:
        """Add a value, [n], and return the sample variance, [n]."""
        self.count, before = self.count + 1, value - self.mean
        self.mean = self.mean + before / self.count
        self.squares = self.squares + before * (value - self.mean)
        return self.squares / (self.count - 1) if self.count > 1 else variance_of_one


class Network:
    """A hidden layer of leaky integrate-and-fire neurons under a leaky-integrator readout.

        J_t = norm(W x_t + b) over the neurons (layer norm: Ba et al. 2016, arXiv:1607.06450)
        u_t = m v_{t-1} + (1-m) J_t      z_t = [u_t >= theta]      v_t = u_t - theta z_t
        f_t = k f_{t-1} + (1-k) z_t      y_t = V f_t + c

    psi = dz/du is the arctan surrogate (Fang et al. 2021, arXiv:2007.05785). Graded neurons, the critic's, send
    z_t = slope (x - .4) where x = u_t - theta is positive, slope (.01 x - .4) elsewhere, without a reset.
    s_t = du_t/dW and E_t = df_t/dW are carried forward in time (Bellec et al. 2020,
    https://doi.org/10.1038/s41467-020-17236-y, eq. 14, with the reset kept).
    """

    def __init__(self, hidden: Array, m: Any, k: Any, n_out: int, threshold: float, graded: bool = False) -> None:
        """Take W over b, [n_in + 1, n], and the decays m and k, [n]; V beside c, [n_out, n + 1], starts at 0."""
        self.parameters = np.append(hidden, np.zeros(n_out * (hidden.shape[1] + 1)))
        self.hidden = self.parameters[: hidden.size].reshape(hidden.shape)  # views of the parameters
        self.readout = self.parameters[hidden.size :].reshape(n_out, -1)
        self.m, self.k, self.threshold, self.graded = m, k, threshold, graded

    def reset(self) -> None:
        """Clear the states and their derivatives, and the trace of gradients."""
        self.membrane, self.reset_gain, self.filtered = np.zeros((3, self.hidden.shape[1]))
        self.sensitivity, self.eligibility = np.zeros((2, *self.hidden.shape))
        self.trace = np.zeros_like(self.parameters)

    def forward(self, x: Array) -> Any:
        """Advance one env step and return the outputs y_t, [n_out]."""
        inputs = np.append(x, 1.0)
        centred = (current := inputs @ self.hidden) - current.mean()
        self.J = centred * (inverse := 1 / np.sqrt(np.mean(centred**2) + 1e-5))
        u = self.m * self.membrane + (1 - self.m) * self.J
        distance = SLOPE * (u - self.threshold)
        rectified = np.where(distance > 0, 1.0, 0.01)
        psi = SLOPE * rectified if self.graded else SLOPE / (1 + (np.pi / 2 * distance) ** 2)
        self.sensitivity = self.m * self.reset_gain * self.sensitivity + (1 - self.m) * inverse * inputs[:, None]
        z = rectified * distance - 0.4 * SLOPE if self.graded else u >= self.threshold
        drop = 0.0 if self.graded else self.threshold  # of the potential at a spike
        self.membrane, self.reset_gain = u - drop * z, 1 - drop * psi  # v_t, dv_t/du_t
        self.filtered = self.k * self.filtered + (1 - self.k) * z
        self.eligibility = self.k * self.eligibility + (1 - self.k) * psi * self.sensitivity
        return self.readout @ np.append(self.filtered, 1.0)

    def accumulate(self, by_output: Array) -> None:
        """Add the gradient g of an objective to its trace, zeta = gamma lambda zeta + g, from that by the outputs."""
        by_weight = self.eligibility * (by_output @ self.readout[:, :-1])
        along = (by_weight * self.J).mean(-1, keepdims=True)  # through the norm: 1 - 1/n - J J^T / n
        by_weight -= by_weight.mean(-1, keepdims=True) + along * self.J
        self.g = np.append(by_weight, np.outer(by_output, np.append(self.filtered, 1.0)))
        self.trace = TRACE_DECAY * self.trace + self.g


class StepSize:
    """Bounded Intentional updates (arXiv:2604.19033): choose how far the output moves, solve for the step size.

    zeta' = zeta / sqrt(E[g^2])      u = sqrt(E[g . g / sqrt(E[g^2])] zeta . zeta')      peak = largest E[u] so far
    theta += eta / max(u, floor peak) delta zeta'      E: running mean; g: gradient; zeta: its eligibility trace
    """

    def __init__(self, eta: float, floor: float, decay: float, slow: float, normalize: bool) -> None:
        """Start; ``normalize`` divides delta by its running root-mean-square."""
        self.eta, self.floor, self.decay, self.slow, self.normalize, self.peak = eta, floor, decay, slow, normalize, 0.0
        self.g_square, self.g_norm, self.mean_u, self.delta_square = (RunningMean() for _ in range(4))

    def update(self, network: Network, delta: float) -> None:
        """Move the parameters of a network along delta times its trace, in place."""
        scale = 1 / (np.sqrt(self.g_square.add(network.g**2, self.decay)) + 1e-8)
        u = np.sqrt(self.g_norm.add(np.sum(network.g**2 * scale), TRACE_DECAY) * np.sum(network.trace**2 * scale))
        self.peak = max(0.999999 * self.peak, self.mean_u.add(u, self.slow))
        square, start = self.delta_square.add(delta**2, self.slow), self.delta_square.start
        bound = 20 * np.sqrt(square + start / (1 - start))  # here the mean of delta^2 starts at 1
        divisor = max(np.sqrt(square), 0.05) if self.normalize else 1.0
        delta = min(max(delta, -bound), bound) / divisor
        network.parameters += self.eta / max(u, self.floor * self.peak, 1e-8) * delta * scale * network.trace


class Reflect:
    """Actor-critic with eligibility traces (Sutton and Barto 2018, section 13.5) through spiking neurons."""

    def __init__(self, policy: Network, critic: Network, random: np.random.Generator) -> None:
        """Take the networks and the generator that actions are sampled with."""
        self.policy, self.critic, self.random = policy, critic, random
        self.policy_step = StepSize(eta=0.05, floor=0.7, decay=0.999, slow=0.99995, normalize=True)
        self.critic_step = StepSize(eta=0.5, floor=0.5, decay=0.99, slow=0.9998, normalize=False)
        self.seen, self.rewarded = RunningMoments(), RunningMoments()

    def start(self, observation: Array) -> int:
        """Begin an episode and return an action."""
        self.policy.reset()
        self.critic.reset()
        self.observation, self.memory, self.discounted = observation, np.zeros(1), np.zeros(1)
        self.value = self.critic.forward(features := self.encode(observation))[0]
        return self.act(features)

    def encode(self, observation: Array) -> Any:
        """Return clip((c - mean) / std, -10, 10), [3 n] (scale: Elsayed et al. 2024, arXiv:2410.14606, section 3.3).

        c = (o_t, o_t - o_{t-1}, s_t)      s_t = .99 s_{t-1} + .01 o_t (memory trace: Eberhard 2025, arXiv:2503.15200)
        """
        self.memory = 0.99 * self.memory + 0.01 * observation
        features = np.concatenate([observation, observation - self.observation, self.memory])
        self.observation, variance = observation, self.seen.add(features, 1.0)
        scales = np.repeat([1, 0.3, 0.3], observation.size)  # 1: of o_t
        return scales * np.clip((features - self.seen.mean) / np.sqrt(variance + 1e-8), -10, 10)

    def scale(self, reward: float) -> float:
        """Return r / max(std(G), rms(G) / 10) with G = gamma G + r (Engstrom et al. 2020, arXiv:2005.12729)."""
        self.discounted = DISCOUNT * self.discounted + reward
        variance, seen = self.rewarded.add(self.discounted, self.discounted**2), self.rewarded
        mean_square = seen.squares / seen.count + seen.mean**2
        return float((reward / np.sqrt(np.maximum(variance, 0.01 * mean_square) + 1e-8)).item())

    def act(self, features: Array) -> int:
        """Sample from pi = softmax(y) by inverting its cumulative distribution."""
        logits = self.policy.forward(features)
        self.log_pi = logits - np.logaddexp.reduce(logits)
        self.action = int(np.sum(np.cumsum(np.exp(self.log_pi))[:-1] <= self.random.random()))
        return self.action

    def learn(self, reward: float, observation: Array, terminated: bool) -> Any:
        """Learn from one transition and return the features of its observation.

        delta = r + gamma V(s') - V(s)      g_critic = grad V(s)      g_policy = grad(log pi(a|s) + tau sign(delta) H)
        """
        self.critic.accumulate(np.ones(1))
        next_value = self.critic.forward(features := self.encode(observation))[0]
        delta = self.scale(reward) + DISCOUNT * next_value * (not terminated) - self.value
        self.value, pi = next_value, np.exp(self.log_pi)
        by_log_pi = np.eye(len(pi))[self.action] - pi  # d log pi(a) / dy
        by_entropy = -pi * (self.log_pi - pi @ self.log_pi)  # dH/dy
        self.policy.accumulate(by_log_pi + ENTROPY * np.sign(delta) * by_entropy)
        self.policy_step.update(self.policy, delta)
        self.critic_step.update(self.critic, delta)
        return features


def main(steps: int = 60_000, seed: int = 0) -> float:
    """Learn CartPole for that many env steps; return the mean return of the last 20 episodes (at best 500)."""
    random, returns, n = np.random.default_rng(seed), [0.0], 128  # neurons
    env = gym.wrappers.DtypeObservation(gym.make("CartPole-v1"), np.float64)
    hidden = np.append(random.normal(0, 0.7 / 12**0.5, (2, 12, n)), random.uniform(-0.3, 0.3, (2, 1, n)), axis=1)
    m, k = random.uniform(0, 0.7, n), random.uniform(0, 0.3, n)
    policy, critic = Network(hidden[0], m, k, 2, 0.25), Network(hidden[1], 0.0, 0.0, 1, 0.01, graded=True)
    agent = Reflect(policy, critic, random)
    action = agent.start(env.reset(seed=seed)[0])
    for step in range(1, steps + 1):
        observation, reward, terminated, truncated, _ = env.step(action)
        returns[-1] += float(reward)
        features = agent.learn(float(reward), observation, terminated)
        ended = terminated or truncated
        returns += [0.0] if ended else []
        action = agent.start(env.reset()[0]) if ended else agent.act(features)
        if step % max(1, steps // 10) == 0:
            print(f"step {step:7,}: the last 20 episodes took {np.mean(returns[-21:-1] or [0]):5.1f} steps on average")
    return float(np.mean(returns[-21:-1] or [0]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
