"""Files that appear under their names only when they are whole."""

import os
from pathlib import Path

from tracerl.config.checks import ConfigError


class Part:
    """A file that is written beside its place and moved there at the end.

    Attributes:
        path: its place; a file that is there stays until ``keep``.
        aside: where it is written, in the same folder.
    """

    def __init__(self, key: str, path: Path) -> None:
        """Make sure that the file can be written, by making an empty one aside.

        Args:
            key: name of the option, for the message.
            path: place of the file.

        Raises:
            ConfigError: its folder is not there or cannot be written, or its place is a folder.
        """
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
