"""Imports go one way: config <- nn <- optim, rules, lifetime <- kernels <- agents, envs; recording <- runs <- run."""

import ast
import subprocess
import sys
from importlib import import_module
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

# Each package may import from itself and from those listed for it; an import under ``TYPE_CHECKING`` does not count.
ALLOWED = {
    "config": set(),
    "nn": {"config"},
    "optim": {"config", "nn"},
    "rules": {"config", "nn", "optim"},
    "lifetime": {"config", "nn"},
    "kernels": {"config", "nn", "optim", "rules", "lifetime"},
    "agents": {"config", "nn", "optim", "rules", "lifetime", "kernels"},
    "envs": {"config", "lifetime", "kernels"},
    "recording": {"config", "nn", "lifetime"},
    "runs": {"config", "nn", "lifetime", "recording", "configs", "envs"},
    "run": {"config", "runs"},
    "eval": {"config", "nn", "lifetime", "runs"},
    "plot": {"config", "nn", "lifetime", "recording", "runs"},
    "sweep": {"config", "lifetime", "runs", "plot"},
    "search": {"config", "lifetime", "runs"},
    "report": {"config", "lifetime", "runs", "plot", "sweep"},
    "watch": {"config", "nn", "lifetime", "recording", "runs"},
    "export": {"config", "nn", "optim", "lifetime", "kernels", "agents", "runs"},
    "testing": {"config", "nn", "lifetime"},
}


def package_of(module: str) -> str:
    """Return the package of a module: ``optim`` of ``tracerl.optim.sgd``, None of ``tracerl``."""
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Return the project's modules that a file imports at any place, without those under ``TYPE_CHECKING``."""
    tree = ast.parse(path.read_text())
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    types_only = {id(inner) for node in checked for inner in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in types_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "tracerl" else [f"tracerl.{alias.name}" for alias in node.names]
            found.update(names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] == "tracerl" and name != "tracerl"}


def test_imports_go_one_way() -> None:
    seen = set()
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            module = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
            part = package_of(module)
            if part == "__init__":
                continue
            seen.add(part)
            wrong = {name for name in imported(path) if package_of(name) not in ALLOWED[part] | {part}}
            assert not wrong, f"{module} imports {sorted(wrong)}"
    assert seen == set(ALLOWED)


def test_every_name_of_every_all_resolves() -> None:
    lists = 0
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            if "__all__" not in path.read_text():
                continue
            parts = path.relative_to(folder).with_suffix("").parts
            module = import_module(".".join([package, *(part for part in parts if part != "__init__")]))
            missing = [name for name in module.__all__ if not hasattr(module, name)]
            assert not missing, f"{path} lists {missing} in __all__"
            lists += 1
    assert lists > 5


HYDRA = {
    "config/env_choices.py",
    "config/error_messages.py",
    "config/hydra_compat.py",
    "config/instantiate.py",
    "run.py",
    "runs/api.py",
    "runs/build.py",
    "runs/launch.py",
    "runs/prepare.py",
    "runs/saved_overrides.py",
    "runs/saved_run.py",
    "search/space.py",
    "sweep/ending.py",
    "sweep/jobs.py",
}


def test_only_the_command_line_touches_hydra_and_only_the_lifetime_loop_steps_an_env() -> None:
    for folder in FOLDERS.values():
        for path in folder.rglob("*.py"):
            text = path.read_text()
            name = path.relative_to(folder).as_posix()
            assert name in HYDRA or ("import hydra" not in text and "omegaconf" not in text), path
            steps_an_env = "env.step(" in text or "envs.step(" in text
            steps = ("lifetime/loop.py", "lifetime/vector_loop.py", "testing.py")  # the last for the checks of users
            assert name in steps or not steps_an_env, path


def test_command_line_help_does_not_import_torch() -> None:
    heavy = ("torch", "numba", "tensorboard", "gymnasium", "matplotlib", "numpy")
    for module, there in (
        ("tracerl.run", heavy[:-1]),
        ("tracerl.plot.__main__", heavy),
        ("tracerl.search.__main__", (*heavy[:-1], "optuna")),
        ("tracerl.report.__main__", heavy),
        ("tracerl.watch.__main__", heavy[:-1]),
    ):
        code = f"import sys, {module}; print([name for name in {there} if name in sys.modules])"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]", module
