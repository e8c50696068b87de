"""The packages that a format needs, which come with an extra of its name."""

import importlib

from tracerl.config.checks import ConfigError

_NEEDED = {"nir": ("nir",), "onnx": ("onnx", "onnxscript")}


def check_packages(extra: str) -> None:
    """Check that what a format needs is installed."""
    for package in _NEEDED.get(extra, ()):
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            problem = f'needs packages that are missing: pip install "tracerl[{extra}]"'
            raise ConfigError(extra, problem) from error
