"""Import arrows go one way: functional <- layers, rules, encoders <- network <- agents <- lifetime loop <- run."""

import ast
import subprocess
import sys
from pathlib import Path

import tracerl.agents
import tracerl.envs

import tracerl

CORE = Path(tracerl.__file__).parent
FOLDERS = {
    "tracerl": CORE,
    "tracerl.agents": Path(tracerl.agents.__file__).parent,
    "tracerl.envs": Path(tracerl.envs.__file__).parent,
}

# Each room may import from itself and from those listed for it.
BASE = {"checks", "lives", "module", "functional"}
ALLOWED = {
    "saved_agent": {"arguments", "assembly", "checkpoint", "checks", "files", "plain_spaces"},
    "plain_spaces": {"checks"},
    "arguments": {"checks"},
    "checks": set(),
    "module": set(),
    "functional": {"functional_actions"},
    "functional_actions": set(),
    "lives": set(),
    "agent": set(),
    "threads": set(),
    "streams": BASE,
    "scaling": BASE,
    "heads": BASE | {"streams"},
    "spaces": BASE,
    "flat": {"module"},
    "layers": BASE,
    "encoders": BASE | {"scaling", "streams"},
    "topology": set(),
    "credit": BASE | {"layers", "topology"},
    "network": BASE | {"credit", "flat", "layers", "topology"},
    "trace_network": BASE | {"layers"},
    "optim": BASE | {"flat"},
    "rules": BASE | {"averages", "flat", "layers", "network", "optim", "trace_network", "view"},
    "arena": BASE | {"flat"},
    "averages": BASE,
    "view": set(),
    "recording": {"checks", "lifetime", "view"},
    "pictures": set(),
    "parts": set(),
    "memories": {"flat"},
    "generators": {"spaces"},
    "disk": set(),
    "files": {"disk"},
    "saved": {"checkpoint", "files", "run_info"},  # both where the files of a run cannot be read
    "run_info": {"checkpoint", "checks", "envs"},
    "guard": {"checks"},
    "inputs": BASE | {"arguments"} | {"agent", "guard"},
    "online": BASE | {"arguments"} | {"agent", "arena", "guard", "inputs", "memories", "optim", "view"},
    "actor_critic": BASE
    | {"agent", "averages", "encoders", "heads", "kernels", "network", "online", "optim", "rules", "scaling"}
    | {"streams"}
    | {"threads", "view"},
    # actor_critic and compiled: names of types only
    "kernels": BASE
    | {"arguments"}
    | {"agent", "credit", "encoders", "heads", "layers", "network", "optim", "rules", "actor_critic"}
    | {"compiled"},
    "stats": BASE,
    "env_outputs": set(),
    "time_limit": {"checks"},
    "lifetime": BASE | {"agent", "env_outputs", "guard", "stats"},
    "lifetimes": BASE | {"agent", "env_outputs", "guard", "lifetime", "stats"},
    "population": BASE | {"arguments"} | {"agent", "averages"},
    "compiled": BASE | {"guard", "kernels", "lifetime", "stats"},
    "world": {"agent", "checks", "envs", "guard", "lifetime", "lifetimes", "stats", "time_limit"},
    "episodes": {"disk", "files"},
    "layout": set(),
    "records": set(),
    "events": {"files", "layout", "records"},
    "sheets": {"pictures", "recording", "view"},
    "snapshots": {"agent", "pictures", "recording", "sheets", "stats", "view"},
    "logger": BASE | {"agent", "events", "layout", "lifetime", "pictures", "snapshots", "stats", "view"},
    "progress": BASE | {"agent", "lifetime", "stats"},
    "interrupt": set(),
    "equal_rewards": {"agent", "checks", "stats"},
    "summary": {"files", "stats"},
    "resume": {"checks", "files", "saved", "saved_overrides"},
    "saved_overrides": {"checks", "hydra_versions", "trust"},
    "trust": {"checks"},
    "locks": set(),
    "presence": {"agent", "files", "lifetime", "locks", "resume", "stats"},
    "checkpoint": {"checks", "disk", "files", "presence"},
    "checkpointing": {"agent", "checkpoint", "checks", "envs", "lifetime", "presence", "resume", "stats", "world"}
    | {"run_info", "saved"},
    "experiment": {"agent", "checkpoint", "checkpointing", "episodes", "interrupt", "lifetime", "presence", "progress"}
    | {"equal_rewards"}
    | {"files", "stats", "summary", "world"},
    "building": {"checks", "explain", "hydra_versions", "trust"},
    "explain": {"checks", "hydra_versions"},
    "hydra_versions": {"choices"},
    "choices": set(),
    "assembly": BASE | {"saved_agent", "trust"} | {"building", "population", "threads", "world"},
    "launching": BASE
    | {"assembly", "building", "episodes", "experiment", "presence", "resume", "stats", "summary"}
    | {"agent", "checkpointing", "files", "guard", "interrupt", "lifetime", "logger", "saved", "view", "world"},
    "job": {"checks", "experiment", "launching", "resume"},
    "library": BASE
    | {"saved_agent", "spaces"}
    | {"agent", "assembly", "building", "configs", "envs", "explain", "hydra_versions", "launching", "world"}
    | {"network", "online"},  # network and online: names of types only
    "life": BASE | {"agent", "equal_rewards", "guard", "lifetime", "stats"},
    "runs": {"agent", "assembly", "building", "checkpoint", "checkpointing", "checks", "files", "run_info", "saved"}
    | {"trust"},
    "export": BASE
    | {"files"}
    | {"agent", "encoders", "heads", "layers", "library", "network", "parts", "runs", "topology", "trace_network"},
    "run": {"building", "checks", "explain", "hydra_versions", "job", "launching", "resume"},
    "folders": {"episodes", "files", "presence", "saved"},
    "groups": {"checks", "folders", "stats"},
    "plot": {"checks", "files", "folders", "groups", "life", "recording", "runs", "stats", "view"},
    "sweep": {"checks", "files", "folders", "groups", "plot", "stats"},
    "watch": {"checks", "interrupt", "lifetime", "pictures", "progress", "recording", "runs", "stats", "view"},
    "agents": BASE
    | {"arguments"}
    | {
        "actor_critic",
        "agent",
        "encoders",
        "heads",
        "network",
        "optim",
        "rules",
        "scaling",
        "spaces",
        "streams",
        "layers",
    }
    | {"generators", "kernels", "memories", "online", "threads", "trace_network", "averages", "view", "parts"},
    "envs": BASE | {"compiled", "lifetime", "spaces", "stats", "world"},
}


def room_of(module: str) -> str:
    """``tracerl.optim.sgd`` is in the room ``optim``, ``tracerl`` itself in none."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Modules of the project that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "tracerl" else [f"tracerl.{alias.name}" for alias in node.names]
            found.update(names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] == "tracerl" and name != "tracerl"}


def test_arrows_go_one_way() -> None:
    seen = set()
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            module = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
            room = room_of(module)
            if room == "__init__":
                continue
            seen.add(room)
            wrong = {name for name in imported(path) if room_of(name) not in ALLOWED[room] | {room}}
            assert not wrong, f"{module} imports {sorted(wrong)}"
    assert seen == set(ALLOWED)


HYDRA = {
    f"{name}.py"
    for name in (
        "assembly",
        "building",
        "choices",
        "ending",
        "explain",
        "hydra_versions",
        "job",
        "jobs",
        "launching",
        "library",
        "run",
        "runs",
        "saved_overrides",
    )
}


def test_only_the_command_line_touches_hydra_and_only_the_lifetime_loop_steps_an_env() -> None:
    for folder in FOLDERS.values():
        for path in folder.rglob("*.py"):
            text = path.read_text()
            assert path.name in HYDRA or ("import hydra" not in text and "omegaconf" not in text), path
            steps_an_env = "env.step(" in text or "envs.step(" in text
            assert path.name in ("lifetime.py", "lifetimes.py") or not steps_an_env, path


def test_the_command_line_answers_without_loading_torch() -> None:
    heavy = ("torch", "numba", "tensorboard", "gymnasium", "matplotlib", "numpy")
    for module, there in (
        ("tracerl.run", heavy[:-1]),
        ("tracerl.plot.__main__", heavy),
        ("tracerl.watch.__main__", heavy[:-1]),
    ):
        code = f"import sys, {module}; print([name for name in {there} if name in sys.modules])"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]", module
