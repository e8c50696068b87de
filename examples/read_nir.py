"""Read an exported agent with other simulators: the file of an agent of CartPole plays in snnTorch and in Norse.

``tracerl.export --with-encoder`` writes the whole way from the raw observation to the logits. ``read`` makes a module
of PyTorch of such a file; it needs no tracerl. nirtorch connects the nodes, and the neurons are those of the simulator.
Needs ``tracerl[nir] nirtorch snntorch norse``.

python examples/read_nir.py [STEPS]
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

import tracerl

with warnings.catch_warnings():  # the simulators use what their own packages have deprecated
    warnings.simplefilter("ignore")
    import nirtorch
    import norse.torch
    import snntorch
    from norse.torch.functional.reset import reset_subtract, reset_value


def read(path: str | Path, neurons: Callable[[Any], nn.Module]) -> Any:
    """Return the ``nn.Module`` of a file, in float64: ``output, state = module(observation, state)``, at first None.

    Args:
        path: a file of ``tracerl.export --nir`` with neurons of type ``LIF``.
        neurons: makes a module of such a node: ``SnnTorchNeurons``, for hard resets only, or ``norse_neurons``.
    """
    modules = {
        nir.Affine: linear,
        nir.Linear: linear,
        nir.Scale: Scale,
        nir.LIF: neurons,
        nir.LI: Integrator,
        nir.Delay: Integrator,
    }
    return nirtorch.nir_to_torch(nir.read(path), modules, dtype=torch.float64)


def numbers(values: Any) -> Tensor:
    """Return numbers of a node as a tensor of float64."""
    return torch.as_tensor(np.array(values), dtype=torch.float64)


class SnnTorchNeurons(nn.Module):
    """``snntorch.Leaky``, whose membrane is given and returned.

    It adds the whole input, where NIR adds dt/tau of it: membrane and threshold are tau/dt times as large.
    """

    def __init__(self, node: Any) -> None:
        super().__init__()
        share = float(node.metadata["dt"]) / numbers(node.tau)
        threshold = numbers(node.v_threshold) / share
        self.leaky = snntorch.Leaky(1 - share, threshold, reset_mechanism="zero", reset_delay=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes and the membrane."""
        spikes, membrane = self.leaky(x, torch.zeros_like(x) if state is None else state)
        return spikes.to(x.dtype), membrane


def norse_neurons(node: Any) -> Any:
    """Return neurons of Norse, which return spikes and a state. Their reset is that of the metadata."""
    parameters = norse.torch.LIFBoxParameters(
        tau_mem_inv=1 / numbers(node.tau),
        v_leak=numbers(node.v_leak),
        v_th=numbers(node.v_threshold),
        reset_method=reset_subtract if node.metadata["reset"] == "soft" else reset_value,
    )
    return norse.torch.LIFBoxCell(parameters, dt=float(node.metadata["dt"]))


class Integrator(nn.Module):
    """A leaky integrator or a delay of one tick, which starts at zero or, where its metadata say so, at its input."""

    def __init__(self, node: Any) -> None:
        super().__init__()
        self.is_delay, self.starts_at_input = isinstance(node, nir.Delay), node.metadata.get("start") == "input"
        self.decay = 0.0 if self.is_delay else 1 - float(node.metadata["dt"]) / numbers(node.tau)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output and the state."""
        before = (x if self.starts_at_input else torch.zeros_like(x)) if state is None else state
        after = self.decay * before + (1 - self.decay) * x
        return (before if self.is_delay else after), after


class Scale(nn.Module):
    """Multiply each input by a number."""

    def __init__(self, node: Any) -> None:
        super().__init__()
        self.scale = numbers(node.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled input."""
        return self.scale * x


def linear(node: Any) -> nn.Module:
    """Return the weights of a node. nirtorch's own map leaves out the bias."""
    n_out, n_in = node.weight.shape
    module = nn.Linear(n_in, n_out, bias=isinstance(node, nir.Affine))
    module.weight.data = numbers(node.weight)
    if isinstance(node, nir.Affine):
        module.bias.data = numbers(node.bias)
    return module


def play(network: Any, env: Any, seed: int) -> float:
    """Return the return of an episode in which the network acts greedily."""
    observation, _ = env.reset(seed=seed)
    state, total, over = None, 0.0, False
    while not over:
        logits, state = network(numbers(observation), state)
        observation, reward, terminated, truncated, _ = env.step(int(logits.argmax()))
        total += float(reward)
        over = terminated or truncated
    return total


@torch.no_grad()
def main(steps: int = 30_000) -> float:
    """Let an agent learn that many steps, then play three episodes per simulator; return the mean return."""
    env = tracerl.make_env("CartPole")
    agent = tracerl.make_agent(env, settings={"deploy": "neuromorphic"}, seed=0)
    tracerl.live(agent, env, steps, seed=0).finish()
    returns = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cartpole.nir")
        nir.write(path, tracerl.to_nir(agent, with_encoder=True))
        for name, neurons in (("snnTorch", SnnTorchNeurons), ("Norse", norse_neurons)):
            network = read(path, neurons)
            returns += [play(network, env, seed) for seed in range(3)]
            print(f"{name}: " + ", ".join(f"{value:.0f}" for value in returns[-3:]))
    return float(np.mean(returns))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
