"""Write the output of commands into the pages of docs/, between markers.

python scripts/doc_outputs.py                       # all of it, a few minutes on two idle cores
python scripts/doc_outputs.py quickstart clicks     # some of it

docs/data/outputs.json keeps the settings that each output was made with. A test compares them with what the same
commands compose now, so that an output of a previous default fails it.
"""

import argparse
import datetime
import io
import json
import re
import runpy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from doc_tables import made_on, write_table
from measure_export import compared
from omegaconf import OmegaConf
from study_runs import Settings

import tracerl
from tracerl.plot.__main__ import main as plot
from tracerl.runs import api
from tracerl.runs.build import with_input

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RECORD = DOCS / "data" / "outputs.json"
SHOWN = "runs/CartPole/reflect/2026-11-25_10-00-00-a1b2c3"  # the folder that the pages name
NOT_COMPARED = ("steps", "threads", "callbacks", "logger", "checkpoint", "resume")  # a toy run has others
Make = Callable[[int | None], str]


def printed(main: Callable[..., Any], *arguments: Any) -> str:
    """Return the output of a function."""
    out = io.StringIO()
    with redirect_stdout(out):
        main(*arguments)
    return out.getvalue()


def fenced(text: str) -> str:
    """Return a text as a block of a page."""
    return f"```text\n{text.strip()}\n```"


def one_run(steps: int | None) -> str:
    """The lines of ``python -m tracerl.run env=CartPole``, without its speed."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        text = printed(tracerl.launch, {"env": "CartPole", **_steps(steps)}, run)
    return fenced(re.sub(r"(?<= episodes, ).*", "...", text.replace(str(run), SHOWN)))


def pattern(steps: int | None) -> str:
    """The curves that ``examples/memorise_a_pattern.py`` draws."""
    return fenced("curve 1" + _example("memorise_a_pattern", steps).partition("curve 1")[2])


def clicks(steps: int | None) -> str:
    """The shares of correct actions of ``examples/poisson_clicks.py``."""
    return fenced("in the second" + _example("poisson_clicks", steps).partition("in the second")[2])


def entropy_table(steps: int | None, lifetimes: int = 20) -> str:
    """The table of the sweep in docs/plot.md, over env and entropy."""
    with tempfile.TemporaryDirectory() as folder:
        for env in ("CartPole", "Acrobot"):
            for entropy in (0.02, 0.1):
                settings = {"env": env, "agent.entropy": entropy, "lifetimes": lifetimes if steps is None else 2}
                more = {"env.backend": "compiled", "logger": "none", "steps": steps or 60_000}
                printed(tracerl.launch, {**settings, **more}, Path(folder) / f"{env}-{entropy}")
        with mock.patch("sys.argv", ["plot", folder, "--what", "table", "--format", "markdown"]):
            return f"{printed(plot).strip()}\n\n{about()}"


def readers(steps: int | None, lifetimes: int = 10) -> str:
    """The table of docs/export.md: returns of both resets, and spikes that differ in snnTorch and Norse."""
    lines = [
        "| | mean return of the last 100 | neuron steps | spikes that differ, lifetimes 0-2 |",
        "|---|---|---|---|",
    ]
    for reset in ("hard", "soft"):
        settings = {"env": "CartPole", "network": "dense", "encoder": "raw", "network.reset": reset}
        more = {"env.backend": "compiled", "lifetimes": lifetimes if steps is None else 3, "logger": "none"}
        with tempfile.TemporaryDirectory() as folder:
            summaries: list[Any] = []
            printed(lambda: summaries.append(tracerl.launch({**settings, **more, **_steps(steps)}, folder)))  # noqa: B023
            each = [compared(tracerl.load(folder), i, 200 if steps is None else 20) for i in range(3)]
        wrong = [", ".join(f"{found[name]:,}" for _, found in each) for name in ("snnTorch", "Norse")]
        said = f"{wrong[0]} in both" if wrong[0] == wrong[1] else f"{wrong[0]} in snnTorch, {wrong[1]} in Norse"
        score = summaries[0]["return_last100"]["mean"]
        lines.append(f"| `network.reset={reset}` | {score:.1f} | {each[0][0].numel():,} | {said} |")
    return "\n".join([*lines, "", about()])


def about() -> str:
    """Return date and machine of an output."""
    return f"{datetime.date.today()}, {made_on()}."


def _steps(steps: int | None) -> dict[str, int]:
    return {} if steps is None else {"steps": steps}


def _example(name: str, steps: int | None) -> str:
    main = runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"]
    return printed(main, *([] if steps is None else [steps]))


@dataclass(frozen=True)
class Output:
    """An output in a page."""

    page: str  # in docs/
    make: Make  # returns it; takes env steps, or ticks, in place of those that the page is of
    few: int  # of them, for a test


OUTPUTS = {
    "quickstart": Output("quickstart.md", one_run, 60),
    "pattern": Output("examples.md", pattern, 100),
    "clicks": Output("examples.md", clicks, 104),
    "entropy": Output("plot.md", entropy_table, 600),
    "readers": Output("export.md", readers, 60),
}


@contextmanager
def composed() -> Iterator[list[Settings]]:
    """A context that gathers the settings which tracerl composes within it, but for ``NOT_COMPARED``."""
    found: list[Settings] = []
    compose = api.compose

    def keeping(settings: api.Settings) -> Any:
        config = compose(settings)
        chosen = with_input(config, "vectors")  # what all of them observe
        whole: Any = OmegaConf.to_container(chosen, resolve=True, throw_on_missing=False)
        one = {key: value for key, value in whole.items() if key not in (*NOT_COMPARED, "lifetimes")}
        if one not in found:
            found.append(one)
        return config

    with mock.patch.object(api, "compose", keeping):
        yield found


def made(output: Output, steps: int | None = None) -> tuple[str, list[Settings]]:
    """Return an output and the settings that it was made with."""
    with composed() as settings:
        text = output.make(steps)
    return text, settings


def main() -> None:
    """Write the outputs and their settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(OUTPUTS)} (default: all)")
    names = parser.parse_args().names or list(OUTPUTS)
    if not set(names) <= set(OUTPUTS):
        parser.error(f"NAME must be of {', '.join(OUTPUTS)}, got {' '.join(names)}")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name in names:
        text, record[name] = made(OUTPUTS[name])
        write_table("doc_outputs", DOCS / OUTPUTS[name].page, name, text)
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{OUTPUTS[name].page}: {name}", flush=True)


if __name__ == "__main__":
    main()
