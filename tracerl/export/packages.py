"""The packages of each export format, installed by the extra with its name."""

import importlib

from tracerl.config.checks import ConfigError

_NEEDED = {"nir": ("nir",), "onnx": ("onnx", "onnxscript")}


def check_packages(extra: str) -> None:
    """Raise a ConfigError if a package of a format is not installed."""
    for package in _NEEDED.get(extra, ()):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            problem = f'needs packages that are missing: pip install "tracerl[{extra}]"'
            raise ConfigError(extra, problem) from error
