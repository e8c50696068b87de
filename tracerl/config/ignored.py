"""Settings that have no effect beside the others, as the part that ignores them says."""

from typing import Any

METHOD = "ignored_settings"


def ignored(part: Any, key: str = "", *made: Any) -> dict[str, str]:
    """Return the settings that a part ignores, below a key, with what makes it ignore them.

    A part is an agent or the settings of something. It can have a method ``ignored_settings``, which returns names of
    its settings and reasons: ``{"recurrent_scale": "with recurrent=false"}``. A name stands for all settings below it.
    A subclass outside tracerl can use what its base ignores, so that its own method alone counts.

    Args:
        part: any object; without the method it ignores nothing.
        key: of the part, put before each name; empty: the names are returned as they are.
        made: arguments of the method.
    """
    kind = type(part)
    if not hasattr(kind, METHOD) or (kind.__module__.partition(".")[0] != "tracerl" and METHOD not in vars(kind)):
        return {}
    return {f"{key}.{name}" if key else name: reason for name, reason in getattr(part, METHOD)(*made).items()}
