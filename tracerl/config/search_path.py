"""The folders of configs that a command line names."""

import re
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException


def parsed(text: str) -> Override | None:
    """Return an override; None for a text that is none."""
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def search_path(arguments: Sequence[str]) -> list[str]:
    """Return the override that adds the folders of ``--config-dir`` and ``hydra.searchpath``; none without both."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    folder = parser.parse_known_args(list(arguments))[0].config_dir
    places: list[Any] = [] if folder is None else [f"file://{folder.absolute()}"]
    settings = [text for text in arguments if re.match(r"\+*hydra\.searchpath=", text)]
    for override in filter(None, map(parsed, settings)):
        value = override.value()
        places += value if isinstance(value, list) else []
    quoted = ",".join("'" + str(place).replace("'", "\\'") + "'" for place in places)
    return [f"hydra.searchpath=[{quoted}]"] if places else []
