"""The running statistics of Gymnasium's normalising wrappers, apart from the rest of an env's state.

An agent acts on numbers that these wrappers scale. Its copies in other envs need the same scales, and so does a run
that is resumed without the state of its env.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.vector import SyncVectorEnv, VectorEnv

from .adapter import Adapter, is_named
from .many import layers_of_many
from .plain import decode, encode
from .stack import adapter_of, layers

Statistics = list[dict[str, Any]]  # of one env: class and state of each such wrapper, the outermost first
_CLASSES = ("NormalizeObservation", "NormalizeReward")


def envs_of(env: Any) -> list[Any]:
    """Return an env, or the envs of a ``SyncVectorEnv``, as a list; an empty list for other vector envs."""
    if not isinstance(env, VectorEnv):
        return [env]
    bare = layers_of_many(env)[-1]
    return list(bare.envs) if type(bare) is SyncVectorEnv else []


def statistics_of(env: Any) -> list[Statistics]:
    """Return copies of the statistics of an env, or of each env of a vector env; an empty list if it has none."""
    found = [[_state(*normalizer) for normalizer in _normalizers(each)] for each in envs_of(env)]
    return found if any(found) else []


def statistics_in(state: Mapping[str, Any]) -> list[Statistics]:
    """Return the statistics that the state of an ``EnvRunner`` has, as ``statistics_of``."""
    env = state.get("env")
    if env is None:
        return list(state.get("statistics", []))
    parts = env["envs"] if "envs" in env else [env]
    found = [[layer for layer in part["layers"] if layer["class"] in _CLASSES] for part in parts if "layers" in part]
    return found if any(found) else []


def restore_statistics(env: Any, found: Sequence[Mapping[str, Any]], hold: bool = False) -> None:
    """Set the statistics of one env, made with the same wrappers.

    Args:
        env: one env.
        found: of it; with those of other wrappers, or none, the env stays as it is.
        hold: they stay as they are while the env is used.

    Raises:
        ValueError: the statistics are not those of such a wrapper.
    """
    wrappers = _normalizers(env)
    if [type(layer).__name__ for layer, _ in wrappers] != [each["class"] for each in found]:
        return
    for (layer, adapter), each in zip(wrappers, found, strict=True):
        adapter.restore(layer, decode(each["state"], each["class"]))
        if hold:
            layer.update_running_mean = False


def _normalizers(env: Any) -> list[tuple[Any, Adapter]]:
    """Return the normalising wrappers of an env with their adapters."""
    named = [layer for layer in layers(env) if is_named(layer, "gymnasium.wrappers", _CLASSES)]
    return [(layer, adapter) for layer in named if (adapter := adapter_of(layer)) is not None]


def _state(layer: Any, adapter: Adapter) -> dict[str, Any]:
    name = type(layer).__name__
    return {"class": name, "state": encode(adapter.capture(layer), name)}
