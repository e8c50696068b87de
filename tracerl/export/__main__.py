"""The command line: ``python -m tracerl.export RUN --nir net.nir``."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracerl.config.checks import ConfigError, stop
from tracerl.export.packages import check_packages

_OPTIONS = {"network", "dt", "form", "fold_normalizer", "without_readout", "life", "checkpoint", "nir", "pt2", "onnx"}


def main() -> None:
    """Write the network of a run to files; exit with 0 or 2 (bad input)."""
    arguments = _parser().parse_args()
    try:
        for line in _export(arguments):
            print(line)
    except ConfigError as error:
        option = f"--{error.key.replace('_', '-')}" if error.key in _OPTIONS else error.key
        stop(f"{option} {error.problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    description = "Write the network of a run's agent to a file; see docs/export.md."
    parser = argparse.ArgumentParser(prog="python -m tracerl.export", description=description)
    parser.add_argument("run", type=Path, help="folder of a run or of one of its checkpoints")
    parser.add_argument("--nir", type=Path, metavar="FILE", help="write a NIR graph (tracerl[nir])")
    parser.add_argument("--pt2", type=Path, metavar="FILE", help="write a program of torch.export")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="write an ONNX graph (tracerl[onnx])")
    parser.add_argument("--network", default="policy", metavar="NAME", help="policy (default) or value")
    parser.add_argument(
        "--life", "--lifetime", type=int, default=0, metavar="N", help="index of the lifetime (default 0)"
    )
    parser.add_argument("--checkpoint", metavar="NAME", help="folder in checkpoints/ (default: the newest)")
    parser.add_argument(
        "--trust", action="store_true", help="run code of any package that the run names; see SECURITY.md"
    )
    nir = parser.add_argument_group("options of a NIR graph")
    nir.add_argument(
        "--dt", type=float, default=1e-4, metavar="SECONDS", help="duration of a tick (default 1e-4, as in snnTorch)"
    )
    nir.add_argument("--form", default="plain", metavar="NAME", help="plain (default): R = 1; scaled: for snnTorch")
    nir.add_argument("--fold-normalizer", action="store_true", help="standardise in the first weights")
    nir.add_argument("--without-readout", action="store_true", help="end with the spikes of the last layer")
    return parser


def _export(arguments: argparse.Namespace) -> Iterator[str]:
    """Write the files and yield lines for the user."""
    wanted = {kind: getattr(arguments, kind) for kind in ("nir", "pt2", "onnx") if getattr(arguments, kind) is not None}
    if not wanted:
        stop("there is nothing to write: give --nir FILE, --pt2 FILE or --onnx FILE")
    for kind in wanted:
        check_packages(kind)
    from tracerl.export.draw import part_of
    from tracerl.runs.saved_run import load

    saved = load(arguments.run, arguments.checkpoint, trust=arguments.trust)
    agent = saved.agent(arguments.life)
    part_of(agent, arguments.network)
    what = f"{arguments.network} of {saved.folder}, lifetime {arguments.life}, step {saved.step:,}"
    if "nir" in wanted:
        yield from _write_nir(arguments, saved, agent, what)
    for kind in (kind for kind in wanted if kind != "nir"):
        yield from _write_program(arguments, kind, wanted[kind], agent, what)


def _write_nir(arguments: argparse.Namespace, saved: Any, agent: Any, what: str) -> Iterator[str]:
    from tracerl.export.about import hints, left_out, warnings_of
    from tracerl.export.draw import draw, part_of
    from tracerl.export.files import write_whole
    from tracerl.export.nir_export import to_nir
    from tracerl.export.nir_write import graph_bytes

    options = ("network", "dt", "form", "fold_normalizer", "without_readout")
    origin = {"env": str(saved.config.env.name), "step": saved.step, "seed": int(saved.config.seed) + arguments.life}
    graph = to_nir(agent, **{name: getattr(arguments, name) for name in options}, about=origin)
    write_whole(arguments.nir, graph_bytes(graph), "nir")
    blueprint = draw(part_of(agent, arguments.network))
    yield f"wrote {arguments.nir}: {what}"
    yield f"  {len(graph.nodes)} nodes: {' -> '.join(graph.nodes)}"
    layers = blueprint.neurons
    synapses = sum(layer.synapse_count for layer in layers)
    if blueprint.readout is not None and not arguments.without_readout:
        synapses += blueprint.readout.weight.numel()
    yield f"  {sum(layer.n for layer in layers):,} neurons, {synapses:,} synapses, dt = {arguments.dt:g} s"
    for warning in warnings_of(blueprint):
        print(f"warning: {warning}", file=sys.stderr)
    for line in left_out(blueprint, agent.encoder, arguments.fold_normalizer):
        yield f"  {line}"
    for line in hints(blueprint, arguments.form, arguments.dt, not arguments.without_readout):
        yield f"  {line}"


def _write_program(arguments: argparse.Namespace, kind: str, path: Path, agent: Any, what: str) -> Iterator[str]:
    from tracerl.export.files import write_whole
    from tracerl.export.program import program_of
    from tracerl.export.program_files import onnx_bytes, torch_export_bytes

    program = program_of(agent, arguments.network)
    write_whole(path, onnx_bytes(program) if kind == "onnx" else torch_export_bytes(program), kind)
    results = "outputs, new state" if program.choice is None else "most probable action, outputs, new state"
    yield f"wrote {path}: {what}"
    yield f"  (observation [{program.n_observation}], state [{program.n_state}]) -> ({results})"
    yield "  the state starts at zeros in every episode; observations are standardised as at the checkpoint."


if __name__ == "__main__":
    main()
