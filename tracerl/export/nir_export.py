"""Export a network of an agent as a NIR graph (see ``tracerl.to_nir``), with its metadata and messages about it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import tracerl
from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.export.description import Convolution, Dense, NetworkDescription, Neurons, describe, moments
from tracerl.export.units import DT
from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder, decays_of, name_of
from tracerl.nn.exportable import part_of
from tracerl.nn.nir_support import check_encoder, check_nir
from tracerl.nn.wiring import INPUT


def to_nir(
    agent: Any,
    *,
    network: str = "policy",
    dt: float = DT,
    form: Any = "plain",
    without_readout: bool = False,
    fold_normalizer: bool = False,
    with_encoder: bool = False,
    about: dict[str, Any] | None = None,
) -> Any:
    """Return a network of an agent as a NIR graph for ``nir.write``. It needs ``tracerl[nir]``.

    Args:
        agent: agent of one lifetime.
        network: ``policy`` or ``value``.
        dt: seconds per tick.
        form: ``plain``, or ``scaled``: equal spikes in a form for snnTorch's reader if decays or thresholds differ
            within a layer.
        without_readout: end with the spikes of the last layer. The readout weights are in the metadata only.
        fold_normalizer: fold the normalisation of observations into the first weights.
        with_encoder: write the encoder too, so that the input is the observation: standardisation, differences and
            traces, without the bound of ``encoder.clip``; see ``tracerl.export.nir_encoder``.
        about: additional metadata of the graph.

    Returns:
        A ``nir.NIRGraph``.

    Raises:
        ConfigError: the agent has no such network, or NIR cannot represent it.
    """
    checks.packages("nir", "nir", "nir")
    from tracerl.export.nir_encoder import OUTPUT, has_nodes
    from tracerl.export.nir_write import FORMS, to_graph

    checks.positive("dt", dt)
    checks.choice("form", form, FORMS)
    part = part_of(agent, network)
    description = describe(part)
    words = metadata(description, agent.encoder, fold_normalizer) | {"network": network} | (about or {})
    encoder = None
    if with_encoder:
        if fold_normalizer:
            raise ConfigError("fold_normalizer", "cannot be used with with_encoder, which has nodes that standardise")
        check_encoder(agent.encoder, description.ticks)
        if has_nodes(agent.encoder):
            encoder = agent.encoder
            words |= {"encoder_output": OUTPUT}
            words["normalizer"] = "none" if encoder.normalizer is None else "nodes"
    if fold_normalizer:
        description = folded(description, agent.encoder)
    if without_readout:
        if len(description.readout.sources if description.readout else ()) != 1 or not description.stages:
            problem = "must be false: the readout is not above a single layer of spikes"
            raise ConfigError("without_readout", problem)
        description = replace(description, readout=None)
    check_nir(part.network)
    return to_graph(description, dt, form, words, encoder)


def folded(description: NetworkDescription, encoder: Encoder) -> NetworkDescription:
    """Fold the normalisation of observations into the first weights: W' = W / std, b' = b - W (mean / std).

    The network then accepts raw observations of the env. The bound of ``clip`` standard deviations is not affine and is
    left out. The mean and standard deviation are the current ones, without later updates.

    Raises:
        ConfigError: naming ``fold_normalizer``: the encoder is not ``raw``, or the first layer is a convolution.
    """
    if type(encoder) is not RawEncoder:
        problem = f"needs encoder=raw, whose features are affine, got encoder={name_of(encoder)}"
        raise ConfigError("fold_normalizer", problem)
    if encoder.normalizer is None:
        return description
    mean, deviation = moments(encoder)

    def with_it(stage: Any) -> Any:
        if not isinstance(stage, Neurons) or INPUT not in stage.sources:
            return stage
        synapses = stage.synapses
        if not isinstance(synapses, Dense):
            raise ConfigError("fold_normalizer", "cannot be used with network=conv: each pixel has a scale of its own")
        place = stage.sources.index(INPUT)
        weight = synapses.weights[place].double() / deviation
        bias = synapses.bias.double() - weight @ mean
        dtype = synapses.bias.dtype
        weights = tuple(weight.to(dtype) if i == place else other for i, other in enumerate(synapses.weights))
        return replace(stage, synapses=replace(synapses, weights=weights, bias=bias.to(dtype)))

    readout = description.readout
    if readout is not None and INPUT in readout.sources:  # there is no other layer
        weight, dtype = readout.weight.double() / deviation, readout.bias.dtype
        bias = readout.bias.double() - weight @ mean
        readout = replace(readout, weight=weight.to(dtype), bias=bias.to(dtype))
    return replace(description, stages=tuple(map(with_it, description.stages)), readout=readout)


def metadata(description: NetworkDescription, encoder: Encoder, is_folded: bool) -> dict[str, Any]:
    """Return the metadata of a file: numbers, arrays and texts."""
    found: dict[str, Any] = {"writer": f"tracerl {tracerl.__version__}", "encoder": name_of(encoder)}
    if type(encoder) is ContrastEncoder:
        found["encoder_trace_decay"] = np.array(encoder.trace_decays)
        found["encoder_memory_decay"] = np.array(encoder.memory_decays)
        found["encoder_trace_scale"] = float(encoder.trace_scale)
    found["normalizer"] = "none" if encoder.normalizer is None else "folded" if is_folded else "apart"
    if encoder.normalizer is not None:
        mean, deviation = moments(encoder)
        found["normalizer_mean"], found["normalizer_std"] = mean.numpy(), deviation.numpy()
        found["normalizer_clip"] = float(encoder.clip)
        found["normalizer_count"] = float(encoder.normalizer.moments.count)
        found["normalizer_squares"] = encoder.normalizer.moments.squares.cpu().numpy().copy()
    readout = description.readout
    if readout is not None:
        found["readout_weight"] = readout.weight.numpy()
        found["readout_bias"] = readout.bias.numpy()
        found["readout_decay"] = readout.input_decay.double().numpy()
    return found


def left_out(
    description: NetworkDescription, encoder: Encoder, is_folded: bool, with_encoder: bool = False
) -> Iterator[str]:
    """Yield sentences about the steps from observation to action that a NIR file does not include."""
    if with_encoder:
        bound = f"; the agent's bound of {encoder.clip:g} standard deviations is not in the file"
        yield f"input: the observation{'' if encoder.normalizer is None else bound}."
        compared = len(decays_of(encoder)[0])
        if compared:
            names = ", ".join(f"trace_{i}" for i in range(compared))
            yield f"at the beginning of an episode the state of {names} is the first observation."
    elif type(encoder) is not RawEncoder:
        yield f"input: the features of encoder={name_of(encoder)}, which is not in the file."
    elif encoder.normalizer is None:
        yield "input: the observation, flattened."
    elif is_folded:
        bound = f"the agent's bound of {encoder.clip:g} standard deviations is not in the file."
        yield f"input: the observation, flattened; {bound}"
    else:
        scale = f"by normalizer_mean and normalizer_std of the metadata and bounded at {encoder.clip:g}"
        hint = "--fold-normalizer puts all but the bound into the first weights."
        yield f"input: the observation, standardised {scale}; {hint}"
    if any(isinstance(layer.synapses, Convolution) for layer in description.neurons):
        yield "images go in as (channels, height, width), without a batch axis."
    if description.ticks > 1:
        yield f"an env step has {description.ticks} ticks; the output of the last one counts."
    yield "membranes start at 0 in every episode. The choice of an action from the output is not in the file."


def warnings_of(description: NetworkDescription) -> Iterator[str]:
    """Yield sentences about the differences between a network and its NIR file."""
    if any(stage.reset == "soft" for stage in description.neurons):
        yield (
            "network.reset=soft has no NIR equivalent: others read the file as reset to 0, which spikes differently;"
            " train with network.reset=hard, or subtract the threshold where the metadata says soft"
        )


def hints(description: NetworkDescription, form: str, dt: float, with_readout: bool) -> Iterator[str]:
    """Yield sentences about limits of the readers of snnTorch 1.0 and Norse 1.1."""
    layers, readout = description.neurons, description.readout
    shared = all(bool((v == v[0]).all()) for layer in layers for v in (layer.membrane_decay, layer.threshold))
    if form == "plain" and not (shared and all(layer.synapse_decay is None for layer in layers)):
        images = any(isinstance(layer.synapses, Convolution) for layer in layers)
        instead = "train with one of each" if images else "use --form scaled"
        yield f"snnTorch's reader accepts one membrane decay and one threshold per layer: for it, {instead}."
    if any(isinstance(layer.synapses, Dense) and layer.synapses.own is not None for layer in layers):
        yield "snnTorch's reader stops at recurrent layers."
    if dt != DT:
        yield f"snnTorch's reader assumes dt = {DT:g}; Norse's has an argument for it."
    if with_readout and readout is not None and (bool(readout.input_decay.any()) or readout.output_decay is not None):
        yield "the readers of snnTorch and Norse do not support LI: use --without-readout, or see docs/export.md."
