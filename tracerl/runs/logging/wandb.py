"""Weights & Biases: one run of it per run folder."""

import os
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.views import Numbers
from tracerl.runs.logging.service import Kind, ServiceRun, name_of, plain
from tracerl.runs.logging.writers import LoggedRun, LogWriter

if TYPE_CHECKING:
    from tracerl.recording.images import Picture

FILE = "wandb.json"
MODES = ("online", "offline", "disabled")


@dataclass(frozen=True)
class WandB:
    """The logger ``wandb``; see ``configs/logger/wandb.yaml``.

    Its config has the hyperparameters by dotted name, its summary the contents of ``summary.json``.
    """

    mode: str | None
    project: str
    entity: str | None
    name: str | None
    group: str | None
    tags: Sequence[str]

    def __post_init__(self) -> None:
        checks.packages("", "wandb", "wandb")
        if self.mode is not None:
            checks.choice("mode", self.mode, MODES)
        if not isinstance(self.project, str) or not self.project:
            raise ConfigError("project", f"must be the name of a project, got {self.project!r}")
        for key in ("entity", "name", "group"):
            if not isinstance(getattr(self, key), str | None):
                raise ConfigError(key, f"must be a name or null, got {getattr(self, key)!r}")
        names = not isinstance(self.tags, str) and isinstance(self.tags, Sequence)
        if not names or not all(isinstance(tag, str) for tag in self.tags):
            raise ConfigError("tags", f"must be a list of names, got {self.tags!r}")

    def open(self, run: LoggedRun, offset: Any) -> "WandBWriter":
        """Begin a run, or continue the one of an earlier part; see ``Logger.open``.

        Raises:
            ConfigError: wandb cannot begin, such as without a login.
        """
        return WandBWriter(self, run)


class WandBWriter(LogWriter):
    """A run of Weights & Biases. Curves, histograms and images are logged with the env step as their step."""

    target = "the log of wandb"
    failures = (Exception,)  # of a package and a network that are not tracerl's

    def __init__(self, settings: WandB, run: LoggedRun) -> None:
        import wandb

        self._folder, self._kept = run.folder, ServiceRun(run.folder / FILE)
        if self._kept.id is None:
            self._kept.begin(uuid.uuid4().hex[:8])
        mode: Any = settings.mode  # a Literal of wandb, which is not always installed
        # Offline there is no server to ask whether the run exists. `wandb sync` joins the parts by their id.
        offline = (settings.mode or os.environ.get("WANDB_MODE")) == "offline"
        try:
            self._run: Any = wandb.init(
                mode=mode,
                project=settings.project,
                entity=settings.entity,
                name=settings.name or name_of(run.folder, run.settings),
                group=settings.group,
                tags=list(settings.tags),
                config=dict(run.settings),
                dir=str(run.folder),
                id=self._kept.id,
                resume="allow" if self._kept.resumed and not offline else None,
                reinit="create_new",  # a run of the user's own, such as around tracerl.launch, is left alone
                settings=wandb.Settings(console="off"),
            )
        except Exception as error:
            problem = (
                f"cannot begin: {checks.first_line(error)} (logger.wandb.mode=offline needs no login and no network)"
            )
            raise ConfigError("logger.wandb", problem) from error

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by tag."""
        self._log(dict(values), step, "step")

    def histograms(self, arrays: Mapping[str, Numbers], step: int) -> None:
        """Log histograms by tag, with the buckets of TensorBoard's."""
        import wandb

        from tracerl.runs.logging.event_file import histogram

        rows = {tag: histogram(numbers) for tag, numbers in arrays.items()}
        pairs: dict[str, Any] = {tag: (found[:, 2], [*found[:, 0], found[-1, 1]]) for tag, found in rows.items()}
        self._log({tag: wandb.Histogram(np_histogram=pair) for tag, pair in pairs.items()}, step, "histograms")

    def images(self, pictures: "Mapping[str, Picture]", step: int) -> None:
        """Log images by tag."""
        import wandb

        self._log({tag: wandb.Image(picture) for tag, picture in pictures.items()}, step, "pictures")

    def _log(self, values: dict[str, Any], step: int, kind: Kind) -> None:
        if self._kept.is_new(step, kind):
            self._run.log(values, step=step)
            self._kept.reached(step, kind)

    def place(self) -> str | None:
        """Return the address of the run or, offline, the command that uploads it."""
        if self._run.settings.mode == "disabled":
            return None
        if self._run.offline:
            return f"wandb sync {shlex.quote(str(self._folder))}/wandb/offline-run-*"  # of every part of the run
        url: str | None = self._run.url
        return url

    def close(self, success: bool, summary: Mapping[str, Any]) -> None:
        """Log the summary and end the run."""
        try:
            self._run.summary.update(plain(summary))
        finally:
            self._run.finish(exit_code=0 if success else 1)
