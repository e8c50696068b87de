"""Write an encoder as NIR nodes: what is between an observation and the features of the network."""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import torch

from tracerl.config.checks import ConfigError
from tracerl.export.description import moments
from tracerl.export.units import time_constant
from tracerl.nn.encoders import Encoder, decays_of, scales_of
from tracerl.nn.nir_support import check_encoder

OUTPUT = "encode"  # name of the node whose output is the features
Add = Callable[..., str]  # from a name, a node and its sources to the name


def has_nodes(encoder: Encoder) -> bool:
    """Return whether an encoder needs nodes: features other than the observation itself."""
    return encoder.normalizer is not None or any(decays_of(encoder)) or encoder.divisor != 1


def add_encoder(add: Add, encoder: Encoder, shape: tuple[int, ...], ticks: int, dt: float) -> str:
    """Add the nodes of an encoder after the node ``input``; return the last one.

    The features are affine in the observation o_t and the traces s_t, which are leaky integrators:

        raw       (o_t - mean) / std
        contrast  (o_t - s_{t-1} - mean) / std    o_t - s_{t-1} = (o_t - s_t) / d for a decay d > 0, since
                                                  s_t = d s_{t-1} + (1-d) o_t; for d = 0 a Delay of one tick
        memory    (s_t - mean) / std

    Mean and std are the current ones; the std of contrasts and memory traces is divided by ``encoder.trace_scale``. The
    bound of ``encoder.clip`` deviations is not affine and is left out. The traces of contrasts begin an episode at its
    first observation, those of memory at 0: the metadata of the nodes have ``start``, ``input`` or ``zero``.

    Args:
        add: adds a node with its sources to the graph.
        encoder: of one lifetime.
        shape: shape of the input, of a vector or an image with the channels first.
        ticks: ticks of the network per env step.
        dt: seconds per tick.

    Raises:
        ConfigError: NIR has no nodes for the encoder.
    """
    check_encoder(encoder, ticks)
    if len(shape) > 1:
        if encoder.normalizer is not None:
            raise ConfigError("encoder.normalize", "must be false for images: each pixel has a scale of its own")
        if any(decays_of(encoder)):
            raise ConfigError("encoder", "must be raw for images, whose traces have no nodes")
        return add(OUTPUT, nir.Scale(np.full(shape, 1 / encoder.divisor)), "input")
    compared, kept = decays_of(encoder)
    n, n_features = shape[0], encoder.n_out
    mean, std = (np.zeros(n_features), np.ones(n_features))
    if encoder.normalizer is not None:
        mean, std = (values.numpy() for values in moments(encoder))
    std = std / scales_of(encoder).numpy()
    from_input = _block(n_features, 0, 1 / (std[:n] * encoder.divisor))
    linears = []
    for i, decay in enumerate([*compared, *kept]):
        place = slice((i + 1) * n, (i + 2) * n)
        if i >= len(compared):
            node, gain = _trace(decay, n, dt, "zero"), 1 / std[place]
        else:
            gain = -1 / (std[place] * (decay or 1.0))
            from_input += _block(n_features, place.start, -gain)
            metadata = {"dt": dt, "start": "input"}
            node = _trace(decay, n, dt, "input") if decay else nir.Delay(np.full(n, dt), metadata=metadata)
        name = add(f"trace_{i}", node, "input")
        linears.append(add(f"encode_trace_{i}", nir.Linear(_block(n_features, place.start, gain)), name))
    if not linears:
        return add(OUTPUT, nir.Affine(from_input, -mean / std), "input")
    linears.insert(0, add("encode_input", nir.Linear(from_input), "input"))
    return add(OUTPUT, nir.Affine(np.eye(n_features), -mean / std), *linears)  # inputs of a node are summed


def _trace(decay: float, n: int, dt: float, start: str) -> Any:
    tau = time_constant(torch.full((n,), decay, dtype=torch.float64), dt)
    metadata = {"dt": dt, "scale": np.ones(n), "start": start}
    return nir.LI(tau=tau, r=np.ones(n), v_leak=np.zeros(n), metadata=metadata)


def _block(n_rows: int, first: int, diagonal: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a matrix, float64 [n_rows, n], that is 0 but for a diagonal that begins at a row."""
    found = np.zeros((n_rows, len(diagonal)))
    found[first : first + len(diagonal)] = np.diag(diagonal)
    return found
