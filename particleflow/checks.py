"""What a value of a configuration may be: a check tells whether, and its attribute `valid` says what would be."""

import math

from particleflow import observers
from particleflow.certificate import CertifiedGap
from particleflow.errors import InvalidInput
from particleflow.integrators.langevin import COOLING_LAWS
from particleflow.values import is_integer, is_real

STOP_RULES = {**observers.STOP_RULES, "gap": CertifiedGap}
"""The rules that may stop a flow, by name."""


def _check(valid):
    def decorate(test):
        test.valid = valid
        return test

    return decorate


def number(valid, test):
    """Return a check for finite numbers that pass a test."""

    @_check(valid)
    def check(value):
        return is_real(value) and test(value)

    return check


def integer(least, most=10**12):
    """Return a check for integers between two bounds."""

    @_check(f"integers from {least}" if most is None else f"integers from {least} to {most:.0e}")
    def check(value):
        return is_integer(value, least, math.inf if most is None else most)

    return check


def choice(names):
    """Return a check for one of several names."""

    @_check(", ".join(f'"{name}"' for name in names))
    def check(value):
        return isinstance(value, str) and value in names

    return check


@_check("text")
def text(value):
    """Check for a text that is not empty."""
    return isinstance(value, str) and value != "" and "\0" not in value


@_check("a list of texts")
def texts(value):
    """Check for a list of texts."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(text(item) for item in value)


@_check("a list of integers")
def integers(value):
    """Check for a list of integers."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(is_integer(item, -(10**12)) for item in value)


@_check("a list of finite numbers")
def reals(value):
    """Check for a list of numbers."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(map(real, value))


@_check("a table of finite numbers, or lists of them")
def numbers(value):
    """Check for a table of numbers and (nested) lists of numbers."""

    def numeric(item):
        return all(map(numeric, item)) if isinstance(item, (list, tuple)) else real(item)

    return isinstance(value, dict) and all(map(numeric, value.values()))


@_check("true or false")
def boolean(value):
    """Check for a truth value."""
    return isinstance(value, bool)


@_check("an integer from 1, or a list of increasing times above 0")
def frames(value):
    """Check for a number of frames or their times."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(positive(item) for item in value) and list(value) == sorted(set(value))
    return integer(1)(value)


@_check("a table of stationary and wall_clock, numbers above 0, and energy, any finite number")
def stop(value):
    """Check for a table of stop rules."""
    if not isinstance(value, dict):
        return False
    for name in value:
        if name not in STOP_RULES:
            raise InvalidInput(f"flow.stop.{name} is unknown; valid: {', '.join(STOP_RULES)}")
    return all(real(number) if name == "energy" else positive(number) for name, number in value.items())


@_check(f"a number from 0, or a table of initial, law ({', '.join(COOLING_LAWS)}) and time")
def cooling(value):
    """Check for a temperature, constant or annealed."""
    if not isinstance(value, dict):
        return nonnegative(value)
    known = {"initial": nonnegative, "law": choice(COOLING_LAWS), "time": positive}
    return "initial" in value and all(key in known and known[key](item) for key, item in value.items())


@_check("a table of every, a number above 0, and particles, an integer from 1")
def birth(value):
    """Check for a table of births."""
    known = {"every": positive, "particles": integer(1)}
    return (
        isinstance(value, dict) and "every" in value and all(key in known and known[key](value[key]) for key in value)
    )


real = number("finite numbers", lambda value: True)
positive = number("finite numbers above 0", lambda value: value > 0)
nonnegative = number("finite numbers from 0", lambda value: value >= 0)
fraction = number("numbers from 0 to below 1", lambda value: 0 <= value < 1)
