"""Let the default agent learn CartPole inside an emulated Cortex-M4, from nothing: code size, RAM and instructions.

python scripts/cortex_m.py --seeds 0-9
python scripts/cortex_m.py --seeds 0-9 --page docs/c.md    # write the tables there

The agent is exported as C before its first step (``tracerl.export``), compiled with ``scripts/cortex_m/``, which has
CartPole in C and what a board needs to begin, and run by QEMU as the board olimex-stm32-h405 (STM32F405: 1 MiB of
flash, 128 KiB of RAM). A lifetime ends once its last 20 episodes have a mean return of 475, or after ``--steps``.

Needs ``arm-none-eabi-gcc`` with newlib and ``qemu-system-arm``:
apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
"""

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from doc_tables import replaced, write_table
from seeds import parse_seeds

import tracerl
from tracerl.export.c_program import c_program, write_c_program
from tracerl.runs.machine import processor

BOARD = Path(__file__).parent / "cortex_m"
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
TARGET = "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard".split()
STRICT = "-std=c99 -Wall -Wextra -Werror -ffunction-sections -fdata-sections -fno-math-errno".split()
EMULATOR = "qemu-system-arm -M olimex-stm32-h405 -nographic -semihosting-config enable=on,target=native".split()
CLOCK = 168e6  # Hz, of the board's processor
BUILDS = {"learning, -O2": ["-O2"], "learning, -Os": ["-Os"], "acting only, -O2": ["-O2", "-DTRACERL_LEARN=0"]}
BRIEF = 1000  # env steps of a build whose instructions are counted


class Result(NamedTuple):
    """What a program prints at its end, and the sizes of the agent's part of it."""

    steps: int  # env steps
    episodes: int
    reached: int  # env step at which 20 episodes had a mean return of 475; 0: they did not
    instructions: int  # of a step within an episode, mean
    most: int  # the same, largest
    code: int  # bytes
    constants: int  # bytes in flash: exported state and tables
    ram: int  # bytes, without the stack


def missing() -> list[str]:
    """Return the tools that are not on the path."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def run_lifetime(seed: int, steps: int, options: list[str]) -> Result:
    """Export, compile and run one lifetime.

    Args:
        seed: of the agent and of the env.
        steps: env steps at most.
        options: of the compiler.
    """
    agent = tracerl.make_agent(tracerl.make_env("CartPole"), settings={"engine": "torch"}, seed=seed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        about = f"The default agent, seed {seed}, before its first step."
        write_c_program(c_program(agent, about, recorded=0), folder)
        compiler = [TOOLS[0], *TARGET, *STRICT, *options, f"-DSEED={seed}", f"-DSTEPS={steps}", f"-I{folder}"]
        _call([*compiler, "-c", str(folder / "agent.c"), "-o", str(folder / "agent.o")])
        sources = [str(BOARD / f"{name}.c") for name in ("main", "board", "cartpole")]
        linking = ["-nostartfiles", "-Wl,--gc-sections", "-T", str(BOARD / "link.ld"), "-lm"]
        program = str(folder / "cartpole.elf")
        _call([*compiler, *sources, str(folder / "agent.o"), *linking, "-o", program])
        printed = _call([*EMULATOR, "-icount", "shift=0", "-kernel", program])  # an instruction takes 1 ns
        sizes = _sections(_call([TOOLS[1], "-A", str(folder / "agent.o")]))
    end = re.search(r"end: steps (\d+) episodes (\d+) reached (\d+) ticks (\d+) most (\d+)", printed)
    if end is None:
        raise SystemExit(f"the program printed no end: {printed}")
    done, episodes, reached, mean, most = map(int, end.groups())
    mean, most = (round(ticks * 1e9 / CLOCK) for ticks in (mean, most))
    return Result(done, episodes, reached, mean, most, sizes["text"], sizes["rodata"], sizes["bss"] + sizes["data"])


def _call(command: list[str]) -> str:
    """Run a tool and return what it prints; exit with its errors."""
    pipe = subprocess.PIPE
    done = subprocess.run(  # the emulator prints to stderr
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def _sections(listed: str) -> Counter[str]:
    """Return the bytes of each kind of section: text, rodata, data and bss."""
    found = Counter[str]()
    for name, size in re.findall(r"^\.(text|rodata|data|bss)\S* +(\d+)", listed, re.MULTILINE):
        found[name] += int(size)
    return found


def builds() -> str:
    """Return the table of the builds."""
    rows = ["| build | code, bytes | constants, bytes | RAM, bytes | instructions per step | largest |"]
    rows.append("|---|---|---|---|---|---|")
    for name, options in BUILDS.items():
        found = run_lifetime(0, BRIEF, options)
        sizes = f"{found.code:,} | {found.constants:,} | {found.ram:,}"
        rows.append(f"| {name} | {sizes} | {found.instructions:,} | {found.most:,} |")
    return "\n".join([*rows, "", _origin()])


def lifetimes(seeds: tuple[int, ...], steps: int) -> str:
    """Return the table of the lifetimes, of the build ``learning, -O2``."""
    rows = ["| seed | mean return of 20 episodes reaches 475 at env step | episodes |", "|---|---|---|"]
    for seed in seeds:
        found = run_lifetime(seed, steps, BUILDS["learning, -O2"])
        rows.append(f"| {seed} | {f'{found.reached:,}' if found.reached else 'not reached'} | {found.episodes:,} |")
    return "\n".join([*rows, "", _origin()])


def _origin() -> str:
    tools = [_call([tool, "--version"]).splitlines()[0] for tool in (TOOLS[0], TOOLS[2])]
    versions = [re.search(r"\d+\.\d+\.\d+", line) for line in tools]
    gcc, qemu = (found[0] if found else "?" for found in versions)
    made_with = f"tracerl {tracerl.__version__}, torch {version('torch')}, arm-none-eabi-gcc {gcc}"
    return f"{time.strftime('%Y-%m-%d')}, {made_with}, QEMU {qemu} on {processor()}."


def main() -> None:
    """Read the arguments; print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=parse_seeds, default=(0,), help="0-9 or 0,3,7")
    parser.add_argument("--steps", type=int, default=120_000, help="env steps of a lifetime at most")
    parser.add_argument("--page", type=Path, help="page with markers to write the tables to")
    arguments = parser.parse_args()
    lacking = missing()
    if lacking:
        raise SystemExit(f"{', '.join(lacking)}: not found; apt-get install {PACKAGES}")
    names = ("builds", "lifetimes")
    for name in names if arguments.page else ():
        replaced("cortex_m", arguments.page, name)  # exits where a marker is missing, before the work
    for name, table in zip(names, (builds(), lifetimes(arguments.seeds, arguments.steps)), strict=True):
        if arguments.page:
            write_table("cortex_m", arguments.page, name, table)
        else:
            print(f"{table}\n")


if __name__ == "__main__":
    main()
