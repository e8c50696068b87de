"""Files that get their final names when they are complete."""

import os
from pathlib import Path

from tracerl.config.checks import ConfigError


class PendingFile:
    """A file that is written under a temporary name and renamed at the end."""

    def __init__(self, key: str, path: Path) -> None:
        self.path = path.absolute()
        self.temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        if self.path.is_dir():
            raise ConfigError(key, f"must be a file, and '{path}' is a folder")
        try:
            self.temporary.open("wb").close()
        except OSError as error:
            raise ConfigError(key, f"must be a file that can be written: '{path}': {error.strerror}") from error

    def keep(self) -> None:
        """Rename the file to its final name."""
        self.temporary.replace(self.path)

    def drop(self) -> None:
        """Remove the temporary file."""
        self.temporary.unlink(missing_ok=True)
