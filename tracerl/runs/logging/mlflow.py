"""MLflow: one run of it per run folder."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.runs.logging.service import Pauses, ServiceRun, name_of, plain
from tracerl.runs.logging.writers import LoggedRun, LogWriter

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from tracerl.recording.images import Picture

FILE = "mlflow.json"
_DEFAULT = "sqlite:///mlflow.db"  # in the current folder, as MLflow's own default
_PARAMETERS = 100  # of one request
_LONGEST = 500  # characters of a parameter, in every version of MLflow
_OPENING, _PAUSE = 10.0, 0.5  # how long the tables of a store are tried, time between two tries; seconds
# The run waits for a request. MLflow's defaults, 7 retries and 120 s, are four minutes for a server that is gone.
_REQUESTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}  # seconds


@dataclass(frozen=True)
class MLflow:
    """The logger ``mlflow``; see ``configs/logger/mlflow.yaml``.

    Its parameters are the hyperparameters by dotted name, and its artifacts ``config.yaml`` and ``summary.json``.
    MLflow has no histograms.
    """

    tracking_uri: str | None
    experiment: str
    name: str | None
    tags: Mapping[str, Any]

    def __post_init__(self) -> None:
        checks.packages("", "mlflow", "mlflow", "sqlalchemy")
        if not isinstance(self.experiment, str) or not self.experiment:
            raise ConfigError("experiment", f"must be the name of an experiment, got {self.experiment!r}")
        for key in ("tracking_uri", "name"):
            if not isinstance(getattr(self, key), str | None):
                raise ConfigError(key, f"must be a text or null, got {getattr(self, key)!r}")
        if not isinstance(self.tags, Mapping) or not all(isinstance(tag, str) for tag in self.tags):
            raise ConfigError("tags", f"must be a mapping of names to values, got {self.tags!r}")

    def open(self, run: LoggedRun, offset: Any) -> "MLflowWriter":
        """Begin a run, or continue the one of an earlier part; see ``Logger.open``.

        Raises:
            ConfigError: the store cannot be used.
        """
        try:
            return MLflowWriter(self, run)
        except Exception as error:
            problem = f"must be a store that works: {checks.first_line(error)}"
            if re.search(r"Run with id=\S+ not found", problem):
                problem += " (the default store is in the folder in which the run was started: resume it there)"
            raise ConfigError("logger.mlflow.tracking_uri", problem) from error


class MLflowWriter(LogWriter):
    """A run of MLflow. Metrics have the env step as their step.

    Points and images are left out for a time after a write that failed (``Pauses``).
    """

    target = "the log of mlflow"
    failures = (Exception,)  # of a package, a database and a network that are not tracerl's

    def __init__(self, settings: MLflow, run: LoggedRun) -> None:
        for variable, value in _REQUESTS.items():
            os.environ.setdefault(variable, value)
        self._uri = settings.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT
        self._kept, self._client = ServiceRun(run.folder / FILE), _client(self._uri)
        self._pauses = Pauses()
        if self._kept.resumed and self._kept.id is not None:
            self._client.update_run(self._kept.id, status="RUNNING")
        else:
            self._begin(settings, run)
        assert self._kept.id is not None
        self._id: str = self._kept.id

    def _begin(self, settings: MLflow, run: LoggedRun) -> None:
        """Create a run with its parameters and its config."""
        from mlflow.entities import Param

        experiment = _experiment(self._client, settings.experiment)
        name = settings.name or name_of(run.folder, run.settings)
        tags = {**{tag: str(value) for tag, value in settings.tags.items()}, "mlflow.runName": name}
        made = self._client.create_run(experiment, tags=tags).info.run_id
        parameters = [Param(_allowed(key), str(value)[:_LONGEST]) for key, value in run.settings.items()]
        for i in range(0, len(parameters), _PARAMETERS):
            self._client.log_batch(made, params=parameters[i : i + _PARAMETERS])
        self._client.log_text(made, run.config, "config.yaml")
        self._kept.begin(made)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by tag. Characters that MLflow does not allow in a name become ``_``."""
        from mlflow.entities import Metric

        if self._kept.is_new(step) and not self._pauses.paused():
            now = int(time.time() * 1000)
            metrics = [Metric(_allowed(tag), float(value), now, step) for tag, value in values.items()]
            with self._pauses.writing():
                self._client.log_batch(self._id, metrics=metrics)
            self._kept.reached(step)

    def images(self, pictures: "Mapping[str, Picture]", step: int) -> None:
        """Log images by tag."""
        if self._kept.is_new(step, "pictures") and not self._pauses.paused():
            with self._pauses.writing():
                for tag, picture in pictures.items():
                    self._client.log_image(self._id, picture, key=_allowed(tag), step=step)
            self._kept.reached(step, "pictures")

    def place(self) -> str:
        """Return the command that shows the store; with a server its address."""
        served = self._uri.startswith(("http://", "https://"))
        return self._uri if served else f"mlflow ui --backend-store-uri {self._uri}"

    def close(self, success: bool, summary: Mapping[str, Any]) -> None:
        """End the run and log the summary, also in a pause."""
        found = plain(summary)
        interrupted = found.get("status") == "interrupted"
        status = "FINISHED" if success else "KILLED" if interrupted else "FAILED"
        self._client.set_terminated(self._id, status=status)  # first: a server that is gone fails one request, not two
        self._client.log_dict(self._id, found, "summary.json")


def _client(uri: str) -> "MlflowClient":
    """Return the client of a store, whose tables it creates.

    Of several jobs that begin with a new store at the same time, all but one fail to create them, and try again.
    """
    from mlflow.tracking import MlflowClient

    end = time.monotonic() + _OPENING
    while True:
        try:
            return MlflowClient(tracking_uri=uri)
        except Exception:  # of MLflow, SQLAlchemy, Alembic and the database, in every order of the jobs
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE)


def _experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of an experiment, which is created if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except Exception:  # another job may have created it since
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _allowed(tag: str) -> str:
    """Return a tag in the characters of MLflow's names: ``milestones/w20_475`` for ``milestones/w20>=475``."""
    return re.sub(r"[^\w .:/-]+", "_", tag)
