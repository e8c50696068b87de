"""Overrides of a command line: ``KEY=VALUE``, with + or ~ before the key."""


def key_and_value(override: str) -> tuple[str, str]:
    """Return the key of an override without + and ~, and its value; an empty value if it has none."""
    key, _, value = override.lstrip("+~").partition("=")
    return key, value
