"""Files that appear under their names only when they are whole."""

import os
from pathlib import Path

from tracerl.config.checks import ConfigError


class Part:
    """A file that is written beside its place and moved there at the end."""

    def __init__(self, key: str, path: Path) -> None:
        self.path = path.absolute()
        self.aside = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        if self.path.is_dir():
            raise ConfigError(key, f"must be a file, and '{path}' is a folder")
        try:
            self.aside.open("wb").close()
        except OSError as error:
            raise ConfigError(key, f"must be a file that can be written: '{path}': {error.strerror}") from error

    def keep(self) -> None:
        """Put the file in its place."""
        self.aside.replace(self.path)

    def drop(self) -> None:
        """Remove what was written."""
        self.aside.unlink(missing_ok=True)
