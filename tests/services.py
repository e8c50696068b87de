"""Stand-ins for the packages of tracking services: what the loggers use of them, in memory."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class WandBRun:
    """A run of ``wandb`` that keeps what is logged."""

    def __init__(self, made: dict[str, Any]) -> None:
        self.made, self.rows, self.summary, self.exit_code = made, list[tuple[int, dict[str, Any]]](), {}, None
        self.settings, self.offline, self.url = (
            SimpleNamespace(mode=made["mode"]),
            made["mode"] == "offline",
            "https://w",
        )

    def log(self, values: dict[str, Any], step: int) -> None:
        assert not self.rows or step >= self.rows[-1][0]  # wandb drops earlier steps
        self.rows.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code

    def curve(self, tag: str) -> list[tuple[int, Any]]:
        return [(step, values[tag]) for step, values in self.rows if tag in values]


def fake_wandb(monkeypatch: pytest.MonkeyPatch) -> list[WandBRun]:
    """Replace ``wandb`` and return the list to which its runs are added."""
    runs: list[WandBRun] = []

    def init(**made: Any) -> WandBRun:
        runs.append(WandBRun(made))
        return runs[-1]

    names = {
        "init": init,
        "Settings": dict,
        "Image": lambda picture: picture,
        "Histogram": lambda np_histogram: np_histogram,
    }
    module = ModuleType("wandb")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return runs


class MLflowStore:
    """A store of ``mlflow``: its client."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, SimpleNamespace] = {}

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        return self.experiments.setdefault(name, str(len(self.experiments)))

    def create_run(self, experiment: str, tags: dict[str, str]) -> Any:
        run_id = f"{len(self.runs):032x}"
        about = {"tags": tags, "params": {}, "metrics": [], "texts": {}, "images": [], "status": "RUNNING"}
        self.runs[run_id] = SimpleNamespace(experiment=experiment, **about)
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].status = status

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(params) <= 100
        self.runs[run_id].metrics += [(key, step, value) for key, value, _, step in metrics]
        self.runs[run_id].params.update(params)

    def log_text(self, run_id: str, text: str, name: str) -> None:
        self.runs[run_id].texts[name] = text

    log_dict = log_text

    def log_image(self, run_id: str, image: Any, key: str, step: int) -> None:
        self.runs[run_id].images.append((key, step, image.shape))

    set_terminated = update_run

    def curve(self, run_id: str, tag: str) -> list[tuple[int, float]]:
        return [(step, value) for key, step, value in self.runs[run_id].metrics if key == tag]


def fake_mlflow(monkeypatch: pytest.MonkeyPatch) -> MLflowStore:
    """Replace ``mlflow``, whose import and first database take ten seconds, and return its store."""
    store = MLflowStore()
    tracking, entities = ModuleType("mlflow.tracking"), ModuleType("mlflow.entities")
    vars(tracking)["MlflowClient"] = lambda tracking_uri: store
    vars(entities).update(Metric=lambda *parts: parts, Param=lambda *parts: parts)
    modules = {"mlflow": ModuleType("mlflow"), "mlflow.tracking": tracking, "mlflow.entities": entities}
    for name, module in {**modules, "sqlalchemy": ModuleType("sqlalchemy")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return store
