"""Draw the figures of docs/how-it-works.md with the library's own layers and agent. Needs ``tracerl[plots]``.

python scripts/plot_how_it_works.py             # into docs/
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the backend is chosen

import tracerl
from tracerl.nn import functional as F
from tracerl.nn.layers import LIF, DenseSynapses, LayerSettings
from tracerl.nn.lifetimes import Lifetimes

DARK, LIGHT, WARM, GREY = "#0b3c5d", "#7aa6c2", "#c8553d", "#8a8f94"
Series = dict[str, list[float]]


def one_neuron(ticks: int, threshold: float = 0.5, readout_decay: float = 0.8) -> Series:
    """Simulate one LIF neuron with random spikes at two inputs and return its variables by name."""
    one = Lifetimes(0)
    both = (threshold, threshold)
    settings = LayerSettings(membrane_decay=(0.85, 0.85), threshold=both, surrogate="triangle", slope=2.0)
    synapses = DenseSynapses(2, 1, one)
    layer = LIF(synapses, one, settings)
    synapses.affine.copy_(torch.tensor([[1.6], [1.1], [0.0]]))  # two weights and the bias
    layer.track(one)
    inputs = (torch.rand(ticks, 2, generator=torch.Generator().manual_seed(4)) < 0.28).float()
    inputs[ticks // 2 : ticks // 2 + 12] = 0
    seen: Series = {name: [] for name in ("first", "second", "potential", "membrane", "spike", "psi", "eps", "E")}
    filtered = torch.zeros(1)
    for x in inputs:
        current = layer.receive(x)
        potential = F.lif_potential(current, layer.membrane, layer.membrane_decay.value)
        layer.carry(synapses.drive(), current)
        layer.fire(current)
        F.low_pass_(filtered, readout_decay, layer.eligibility()[0])
        assert layer.sensitivity is not None
        derivatives = layer.surrogate, layer.sensitivity[0], filtered
        for name, number in zip(seen, (x[0], x[1], potential, layer.membrane, layer.spikes, *derivatives), strict=True):
            seen[name].append(float(number))
    return seen


def plot_neuron(path: Path, ticks: int = 80, threshold: float = 0.5) -> None:
    """Draw inputs, membrane and spikes, surrogate, and the derivatives that the first weight carries forward."""
    seen, t, heights = one_neuron(ticks, threshold), np.arange(ticks), [0.6, 1.5, 0.9, 1.2]
    figure, axes = plt.subplots(4, 1, figsize=(7.2, 6.4), sharex=True, layout="constrained", height_ratios=heights)
    for row, name in enumerate(("second", "first")):
        axes[0].vlines(t[np.array(seen[name]) > 0], row + 0.1, row + 0.9, color=DARK if name == "first" else LIGHT)
    axes[0].set(yticks=[0.5, 1.5], yticklabels=["$x_2$", "$x_1$"], ylim=(0, 2), title="what the neuron receives")
    axes[1].plot(t, seen["potential"], color=DARK, label="potential $u$")
    axes[1].plot(t, seen["membrane"], color=LIGHT, linewidth=1, label="membrane $v$, after the reset")
    axes[1].axhline(threshold, color=GREY, linestyle="--", linewidth=1, label=r"threshold $\theta$")
    fired = t[np.array(seen["spike"]) > 0]
    axes[1].plot(fired, np.array(seen["potential"])[fired], "o", color=WARM, markersize=4, label="spike $z$")
    axes[1].set(title="potential, threshold, spikes")
    axes[2].fill_between(t, seen["psi"], color=WARM, alpha=0.35, linewidth=0)
    axes[2].plot(t, seen["psi"], color=WARM, linewidth=1)
    axes[2].set(title=r"surrogate $\psi$: the derivative used for $z$ by $u$", ylim=(0, None))
    axes[3].plot(t, seen["eps"], color=LIGHT, label=r"$\epsilon = \partial u / \partial W_1$")
    axes[3].plot(t, seen["E"], color=DARK, label="$E$, as the readout's filter sees it")
    axes[3].set(title="what the first weight carries forward in time", xlabel="tick")
    for axis in (axes[1], axes[3]):
        axis.legend(frameon=False, fontsize=8, ncols=4, loc="upper right")
    axes[1].set_ylim(top=max(seen["potential"]) * 1.25)
    axes[3].set_ylim(top=max(seen["eps"]) * 1.3)
    finish(figure, axes, path)


def plot_surrogates(path: Path) -> None:
    """Draw the two surrogate derivatives at three slopes."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.6), sharey=True, layout="constrained")
    distance = torch.linspace(-3, 3, 601)
    kinds: tuple[F.Surrogate, ...] = ("arctan", "triangle")
    for axis, kind in zip(axes, kinds, strict=True):
        for slope, color in ((0.5, LIGHT), (1.0, DARK), (2.0, WARM)):
            derivative = F.surrogate_derivative(distance.clone(), slope, kind)
            axis.plot(distance, derivative, color=color, label=f"slope {slope:g}")
        axis.set(title=kind, xlabel=r"$u - \theta$")
    axes[0].set(ylabel=r"$\psi$")
    axes[1].legend(frameon=False, fontsize=8)
    finish(figure, axes, path)


def early_steps(steps: int, skip: int, seed: int = 1) -> tuple[Series, list[int]]:
    """Learn CartPole and return traces, td errors and the steps at which episodes ended."""
    env = tracerl.make_env("CartPole")
    agent: Any = tracerl.make_agent(env, settings={"engine": "torch"}, seed=seed)
    seen: Series = {name: [] for name in ("log_prob", "norm", "delta", "value")}
    ends = []
    run = tracerl.live(agent, env, skip + steps, seed=seed)
    for step in run:
        if run.record.step <= skip:
            continue
        norm = agent.policy.eligibility_trace.norm()
        for name, number in zip(seen, (agent.log_prob_trace.average(), norm, agent.signal, agent.value), strict=True):
            seen[name].append(float(number))
        if step.last:
            ends.append(len(seen["delta"]) - 1)
    return seen, ends


def plot_learning(path: Path, steps: int = 160, skip: int = 300) -> None:
    """Draw the log-probability trace, the norm of its gradient, value and td error."""
    seen, ends = early_steps(steps, skip)
    t = np.arange(skip, skip + steps)
    figure, axes = plt.subplots(4, 1, figsize=(7.2, 6.0), sharex=True, layout="constrained")
    titles = {
        "log_prob": r"trace of log-probabilities of the actions taken, $(1-d)\,l$",
        "norm": r"its gradient: Euclidean norm of the policy's eligibility trace $\zeta$",
        "value": "value $V$",
        "delta": r"td error $\delta$: what the trace is multiplied by",
    }
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        if name == "delta":
            axis.vlines(t, 0, seen[name], color=np.where(np.array(seen[name]) > 0, DARK, WARM), linewidth=1.2)
            axis.axhline(0, color=GREY, linewidth=0.8)
        else:
            axis.plot(t, seen[name], color=DARK)
        for end in ends:
            axis.axvline(t[end] + 0.5, color=GREY, linestyle=":", linewidth=1)
        axis.set_title(title)
    axes[-1].set_xlabel("env step (dotted: the pole fell)")
    finish(figure, axes, path)


def finish(figure: Any, axes: Any, path: Path) -> None:
    """Give every figure the same style and write it."""
    for axis in axes:
        title = axis.get_title()
        axis.set_title("")
        axis.set_title(title, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(path)


@torch.no_grad()
def main() -> None:
    """Draw all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "docs", help="folder")
    folder = parser.parse_args().output
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    plot_neuron(folder / "how-neuron.png")
    plot_surrogates(folder / "how-surrogates.png")
    plot_learning(folder / "how-learning.png")


if __name__ == "__main__":
    main()
