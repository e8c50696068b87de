"""The command line: ``python -m tracerl.export RUN --nir net.nir``."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError, stop
from tracerl.runs.command_line import Parser, add_lifetime_options, errors_in_one_line, path_of
from tracerl.runs.files import as_utf8, check_named, file_of, write_named

_OF_NIR = ("dt", "form", "fold_normalizer", "with_encoder", "without_readout")
_PACKAGES = {"nir": ("nir",), "pt2": (), "onnx": ("onnx", "onnxscript"), "c": ()}  # of each format


def main() -> None:
    """Write the network of a run to files; exit with 0 or 2 (bad input)."""
    arguments = _parser().parse_args()
    with errors_in_one_line(options=vars(arguments)):
        for line in _export(arguments):
            print(line)


def _parser() -> argparse.ArgumentParser:
    about = "Write a run's agent, or a network of it, to files; see docs/export.md and docs/c.md."
    parser = Parser(prog="python -m tracerl.export", description=about)
    add = parser.add_argument
    add("run", type=path_of, help="folder of a run or of one of its checkpoints")
    add("--nir", type=path_of, metavar="FILE", help="write a NIR graph (tracerl[nir])")
    add("--pt2", type=path_of, metavar="FILE", help="write a program of torch.export")
    add("--onnx", type=path_of, metavar="FILE", help="write an ONNX graph (tracerl[onnx])")
    add("--c", type=path_of, metavar="DIR", help="write the agent, which continues to learn, as a C program")
    add("--network", default="policy", metavar="NAME", help="policy (default) or value")
    bits = "round weights to integers of N bits times a scale per layer (default: deploy.weight_bits of the run)"
    add("--weight-bits", type=int, metavar="N", help=bits)
    add_lifetime_options(parser)
    add = parser.add_argument_group("options of a NIR graph").add_argument
    add("--dt", type=float, default=1e-4, metavar="SECONDS", help="duration of a tick (default 1e-4, as in snnTorch)")
    add("--form", default="plain", metavar="NAME", help="plain (default): R = 1; scaled: for snnTorch")
    add("--fold-normalizer", action="store_true", help="standardise in the first weights")
    add("--with-encoder", action="store_true", help="write the encoder too: the input is the observation")
    add("--without-readout", action="store_true", help="end with the spikes of the last layer")
    return parser


def _export(arguments: argparse.Namespace) -> Iterator[str]:
    """Write the files and yield lines for the user."""
    wanted = {kind: path for kind in _PACKAGES if (path := getattr(arguments, kind)) is not None}
    if not wanted:
        stop("there is nothing to write: give --nir FILE, --pt2 FILE, --onnx FILE or --c DIR")
    _check_apart(wanted)
    _check_effects(arguments)
    for kind in wanted:
        checks.packages(kind, kind, *_PACKAGES[kind])
    from tracerl.nn.exportable import part_of
    from tracerl.runs.saved_run import load

    saved = load(arguments.run, arguments.checkpoint, trust=arguments.trust)
    agent = saved.agent(arguments.lifetime)
    where = f"{saved.folder}, lifetime {arguments.lifetime}, step {saved.step:,}"
    program = _c_program(arguments, agent, where) if "c" in wanted else None
    bits = None
    if set(wanted) != {"c"}:
        bits = _round_weights(arguments, saved, part_of(agent, arguments.network))
    for kind, path in wanted.items():
        what = "agent" if kind == "c" else arguments.network
        if kind == "nir":
            lines = _write_nir(arguments, saved, agent)
        elif kind == "c":
            lines = _write_c_program(program, path)
        else:
            lines = _write_program(arguments, kind, path, agent)
        yield f"wrote {path}: {what} of {where}"
        yield from lines
        if bits is not None and kind != "c":
            yield f"  weights are integers of {bits} bits times a scale per layer; biases are not rounded."


def _check_apart(wanted: dict[str, Path]) -> None:
    """Raise a ConfigError for two outputs of the same path, however it is spelt."""
    taken: dict[str, str] = {}
    for kind, path in wanted.items():
        first = taken.setdefault(os.path.realpath(path), kind)
        if first != kind:
            raise ConfigError(kind, f"must be another path than that of --{first}, got {str(path)!r}")


def _check_effects(arguments: argparse.Namespace) -> None:
    """Raise a ConfigError for an option that has no effect on the files to be written."""
    if arguments.c is not None and arguments.weight_bits is not None:
        raise ConfigError("weight_bits", "cannot be used with --c: that program learns, with weights of 32 bits")
    defaults = _parser()
    for option in _OF_NIR if arguments.nir is None else ():
        if getattr(arguments, option) != defaults.get_default(option):
            raise ConfigError(option, "needs --nir: it has no effect on other files")


def _round_weights(arguments: argparse.Namespace, saved: Any, part: Any) -> int | None:
    """Round the weights as the option or the run says and return the bits; None: they stay as they are."""
    from tracerl.nn.rounding import round_weights
    from tracerl.runs.deploy import weight_bits

    bits = weight_bits(saved.config) if arguments.weight_bits is None else arguments.weight_bits
    if bits is None:
        return None
    if arguments.nir is not None:
        for option, wrong in (("fold_normalizer", arguments.fold_normalizer), ("form", arguments.form == "scaled")):
            if wrong:
                problem = (
                    "cannot be used with weight_bits, as it scales the rounded weights of single neurons or inputs"
                )
                raise ConfigError(option, problem)
    round_weights(part, bits)
    return bits


def _write_nir(arguments: argparse.Namespace, saved: Any, agent: Any) -> list[str]:
    """Write the NIR graph and return lines about it."""
    from tracerl.export.description import describe
    from tracerl.export.nir_export import hints, left_out, to_nir, warnings_of
    from tracerl.export.nir_write import graph_bytes
    from tracerl.nn.exportable import part_of

    options = ("network", "dt", "form", "fold_normalizer", "without_readout", "with_encoder")
    seed = int(saved.config.seed) + arguments.lifetime
    origin = {"env": str(saved.config.env.name), "step": saved.step, "seed": seed}
    graph = to_nir(agent, **{name: getattr(arguments, name) for name in options}, about=origin)
    write_whole(arguments.nir, graph_bytes(graph), "nir")
    description = describe(part_of(agent, arguments.network))
    layers = description.neurons
    synapses = sum(layer.synapse_count for layer in layers)
    if description.readout is not None and not arguments.without_readout:
        synapses += description.readout.weight.numel()
    for warning in warnings_of(description):
        print(f"warning: {warning}", file=sys.stderr)
    lines = [
        f"{len(graph.nodes)} nodes: {' -> '.join(graph.nodes)}",
        f"{sum(layer.n for layer in layers):,} neurons, {synapses:,} synapses, dt = {arguments.dt:g} s",
        *left_out(description, agent.encoder, arguments.fold_normalizer, arguments.with_encoder),
        *hints(description, arguments.form, arguments.dt, not arguments.without_readout),
    ]
    return [f"  {line}" for line in lines]


def _write_program(arguments: argparse.Namespace, kind: str, path: Path, agent: Any) -> list[str]:
    """Write the program and return lines about it."""
    from tracerl.export.program import onnx_bytes, program_of, torch_export_bytes

    program = program_of(agent, arguments.network)
    write_whole(path, onnx_bytes(program) if kind == "onnx" else torch_export_bytes(program), kind)
    dtype = str(program.encoder.dtype).removeprefix("torch.")
    results = "outputs, new state" if program.choice is None else "most probable action, outputs, new state"
    return [
        f"  (observation [{program.n_observation}], state [{program.n_state}] of {dtype}) -> ({results})",
        "  the state starts at zeros in every episode; observations are standardised as at the checkpoint.",
    ]


def _c_program(arguments: argparse.Namespace, agent: Any, where: str) -> Any:
    """Return the C program, before any file is written."""
    from tracerl.export.c_program import c_program

    if arguments.network != "policy":
        problem = f"must be policy with --c, which writes the whole agent; got {arguments.network!r}"
        raise ConfigError("network", problem)
    return c_program(agent, as_utf8(f"The agent of the run {where}."))


def _write_c_program(program: Any, folder: Path) -> list[str]:
    """Write the C program and return lines about its memory."""
    from tracerl.export.c_program import write_c_program

    write_c_program(program, folder)
    return [f"  {line}" for line in (", ".join(program.files), *program.lines)]


def write_whole(path: Path, data: bytes, option: str) -> None:
    """Write a file atomically and replace an existing one."""
    with file_of(option, path):
        check_named(path)
        write_named(path, data)


if __name__ == "__main__":
    main()
