"""What a value given by the user is: small questions that every room asks before it uses one."""

import math

import numpy as np

from particleflow.errors import InvalidInput


def is_real(value):
    """Return whether a value is a finite real number; a truth value is none, nor is an integer beyond floats."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_integer(value, least=1, most=10**15):
    """Return whether a value is an integer between two bounds; a truth value is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= value <= most


def integers(name, values):
    """Return a list of integers as a tuple of int.

    Raises
    ------
    InvalidInput
        If it is none, or empty; the message begins with the name.
    """
    items = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(items, (list, tuple)) or not items or not all(is_integer(item, -(10**15)) for item in items):
        raise InvalidInput(f"{name} = {values!r}: valid are lists of integers")
    return tuple(int(item) for item in items)
