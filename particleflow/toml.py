"""TOML text to dicts, on every supported Python, and where two of them differ."""

import sys

if sys.version_info >= (3, 11):
    from tomllib import TOMLDecodeError, loads
else:
    from tomli import TOMLDecodeError, loads

__all__ = ["TOMLDecodeError", "differences", "loads"]


def differences(table, other):
    """Return {dotted name: (value, other value)} where two nested tables differ, by name; None is unset."""
    table, other = _flat(table), _flat(other)
    names = sorted(table.keys() | other.keys())
    return {name: (table.get(name), other.get(name)) for name in names if table.get(name) != other.get(name)}


def _flat(table, prefix=""):
    """Return the values of nested tables by their dotted names."""
    flat = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
