"""Configuration files as nested dicts, after changes that were asked for on the command line."""

from particleflow.errors import InvalidInput
from particleflow.toml import TOMLDecodeError, loads


def read_text(path):
    """Return the text of a configuration file, or raise `InvalidInput`."""
    try:
        if not path.is_file():
            raise InvalidInput(f"the configuration {str(path)!r} does not exist or is not a file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the configuration {str(path)!r} cannot be read as text: {error}") from None


def read_tables(text, changes, name):
    """Return a TOML text as nested dicts, after changes; errors as for `load_config`."""
    try:
        tables = loads(text)
    except TOMLDecodeError as error:
        raise InvalidInput(f"{name} is not valid TOML: {error}") from None
    for change in changes:
        _apply(tables, change)
    return tables


def _apply(tables, change):
    key, sign, value = change.partition("=")
    *path, last = key.strip().split(".")
    if not sign or not last or not all(path):
        raise InvalidInput(f"--set {change}: valid are assignments like energy.strength=1e-2")
    try:
        value = loads(f"value = {value}")["value"]
    except TOMLDecodeError:
        value = value.strip()  # a bare word is a text
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InvalidInput(f"--set {change}: {part} is not a table")
    table[last] = value
