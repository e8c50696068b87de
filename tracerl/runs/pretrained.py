"""Pretrained agents, which ship with the package: a run at a checkpoint in one safetensors file.

The header has the config of the run, the env step and a model card. What is zero between two episodes and gradients of
the last step are left out. The mean squares of the step-size rule have 8 bits on a logarithmic scale, 8 steps per
octave, so that step sizes change by about 2% at most. Weights, running scales and all else are those of the checkpoint.

``pack`` raises a ConfigError, ``unpack`` a ValueError whose text completes a sentence about the file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.runs.checkpoint import manifest, plain, tensors

FORMAT = 1  # incremented by changes that an older tracerl would read wrongly
FOLDER = Path(__file__).parents[1] / "pretrained"
PREFIX = "pretrained:"

_SUFFIX = ".safetensors"
_KEY = "tracerl_pretrained"  # key of the metadata
_OF_LAST_STEP = ".score"  # gradient of the last step, which the next one replaces
_CODED = ".second_moment"
_STEPS = 8  # of the code of a mean square, per octave
_TOP = 255  # code of the largest


@dataclass(frozen=True)
class Pretrained:
    """A pretrained agent of one lifetime."""

    config: dict[str, Any]  # settings of the run, resolved
    step: int  # env steps that the agent has learned for
    card: dict[str, Any]  # how the agent was made, and its return
    state: dict[str, Tensor]  # result of ``agent.capture`` between two episodes


def names() -> list[str]:
    """Return the names of all pretrained agents, sorted."""
    return sorted(path.stem for path in FOLDER.glob(f"*{_SUFFIX}"))


def name_of(path: str | Path) -> str | None:
    """Return NAME of ``pretrained:NAME``, or None for another path."""
    text = str(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def load_pretrained(name: str, engine: str = "auto") -> Any:
    """Load a pretrained agent, between two episodes. It continues to learn unless ``freeze`` is called.

    Args:
        name: name of a task, as in docs/pretrained.md.
        engine: ``torch``, ``fused`` or ``auto``.

    Raises:
        ConfigError: naming the argument.

    Examples:
        >>> import tracerl
        >>> agent = tracerl.load_pretrained("CartPole", engine="torch")
        >>> tracerl.evaluate(agent, tracerl.make_env("CartPole"), episodes=1).mean
        500.0
    """
    from tracerl.runs.saved_run import load

    return load(f"{PREFIX}{name}").agent(engine=engine)


def read(name: str) -> Pretrained:
    """Read the file of a pretrained agent.

    Raises:
        ConfigError: there is no agent of this name, or its file is damaged.
    """
    checks.choice("pretrained", name, names())
    path = FOLDER / f"{name}{_SUFFIX}"
    try:
        return unpack(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError("pretrained", f"{name} cannot be loaded: {path} {error}") from error


def pack(agent: Pretrained) -> bytes:
    """Return the contents of a file."""
    kept, left_out, largest = dict[str, Tensor](), dict[str, Any](), dict[str, float]()
    for name, tensor in agent.state.items():
        if name.endswith(_OF_LAST_STEP) or not tensor.any():
            left_out[name] = [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        elif name.endswith(_CODED):
            largest[name] = float(tensor.max())
            kept[name] = _coded(tensor, largest[name])
        else:
            kept[name] = tensor
    header = {"format": FORMAT, "versions": manifest.versions(), "step": agent.step, "card": agent.card}
    header |= {"config": agent.config, "left_out": left_out, "largest": largest}
    plain.check("pretrained", header)
    return tensors.pack("pretrained", kept, {_KEY: plain.canonical(header).decode()})


def unpack(data: bytes) -> Pretrained:
    """Read the contents of a file. Nothing is built or imported."""
    header = manifest.header_of(data, _KEY, FORMAT, "holds no pretrained agent")
    state = tensors.unpack(data, described=True)
    try:
        config, step, card = header["config"], header["step"], header["card"]
        of_weights = getattr(torch, config["dtype"])
        state |= {name: _decoded(state[name], top).to(of_weights) for name, top in header["largest"].items()}
        state |= {
            name: torch.zeros(shape, dtype=getattr(torch, dtype)) for name, (dtype, shape) in header["left_out"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"lacks what an agent is built from: {error!r:.80}") from error
    return Pretrained(config, step, card, state)


def _coded(squares: Tensor, largest: float) -> Tensor:
    """Return mean squares as uint8: 0 for 0, else 1 to 255 in steps of an eighth of an octave."""
    octaves = (squares.double() / largest).log2()
    return (_TOP + _STEPS * octaves).round().clamp(1, _TOP).where(squares > 0, 0).byte()


def _decoded(codes: Tensor, largest: float) -> Tensor:
    """Return the mean squares of ``_coded``, float64."""
    return (largest * 2 ** ((codes.double() - _TOP) / _STEPS)).where(codes > 0, 0)
