"""Warn of settings on the command line that have no effect beside the others."""

import warnings
from collections.abc import Container, Iterable, Mapping
from typing import Any

from tracerl.config.checks import ConfigWarning
from tracerl.config.ignored import ignored
from tracerl.config.moved import HEAD
from tracerl.config.overrides import key_and_value, with_groups
from tracerl.lifetime.protocol import agents_of


def warn_of_ignored(overrides: Iterable[str], ignored_keys: Mapping[str, str], agent_name: str) -> None:
    """Warn once, in one line, of the given settings that have no effect, with the reason of each.

    Choices of a group, such as ``head=bounded``, are not named: they can be meant for other envs and agents.

    Args:
        overrides: of the command line, such as ``agent.horizon_share=0.001``.
        ignored_keys: settings that have no effect, with the reason; a key stands for all settings below it.
        agent_name: name of the chosen agent, for the message.
    """
    by_reason: dict[str, list[str]] = {}
    for key in dict.fromkeys(key_and_value(text)[0] for text in overrides if not text.startswith("~")):
        found = with_groups(_current(key)) & ignored_keys.keys()
        if found:
            by_reason.setdefault(ignored_keys[min(found)], []).append(key)
    if by_reason:
        said = [
            f"{', '.join(keys)} {'has' if len(keys) == 1 else 'have'} no effect {reason}"
            for reason, keys in by_reason.items()
        ]
        warnings.warn(f"{'; '.join(said)} (agent={agent_name})", ConfigWarning, stacklevel=3)


def ignored_by(agent: Any, groups: Container[str], **parts: Any) -> dict[str, str]:
    """Return the settings by dotted name that the agent or a part of the run ignores, with the reason.

    Args:
        agent: of one or many lifetimes.
        groups: of the config; a name that an agent returns begins with one of them, or is a setting of ``agent``.
        parts: settings of ``deploy``, ``eval`` and ``checkpoint``, by group.
    """
    one = agents_of(agent)[0]
    found = {name if name.split(".")[0] in groups else f"agent.{name}": reason for name, reason in ignored(one).items()}
    for group, part in parts.items():
        found |= ignored(part, group, *([one] if group == "deploy" else []))
    return found


def _current(key: str) -> str:
    """Return the current name of a setting of the head that was one of the agent."""
    group, _, name = key.partition(".")
    return f"head.{name}" if group == "agent" and name in HEAD else key
