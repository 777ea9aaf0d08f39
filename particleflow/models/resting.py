"""Particles at rest: on the kink of the regulariser (a = 0 or θ = 0), or at w = 0.

`particleflow.models.sliding` says what sliding is; a particle at rest is the case where the least-norm velocity is 0 in
the directions across the kink.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.models.products import add_multiple, copy, dot
from particleflow.regularizers import NORM, PATH_NORM, SCALED_SQUARED_NORM

# In the place of the number of a datum: the kink of the regulariser, w = 0, and neither.
REST, ORIGIN, NOWHERE = -1, -2, -3
# A particle held at w = 0 keeps its direction, at this length relative to |a|; before it leaves it turns so many times.
TINY = 1e-12
_TURNS = 200


@jit
def _bends_at_a_zero(regularizer):
    return regularizer in (PATH_NORM, SCALED_SQUARED_NORM)


@jit
def _pull_to_a_zero(theta, regularizer, weight):
    """Return (λ/2) V / |a|, by which V = |a|‖w‖ or |a|‖w‖² drives a to 0."""
    square = dot(theta[1:], theta[1:])
    return weight * (math.sqrt(square) if regularizer == PATH_NORM else square)


@jit
def resting_place(held, before, ahead, theta, velocity, free, kinks, jumps, regularizer, weight, at_origin):
    """Return where a particle rests after a step, REST, ORIGIN or NOWHERE; put it there, in place.

    `held` is where it rested before; `free` its plain velocity if that was at w = 0.
    """
    if held == REST:
        still = dot(velocity, velocity) == 0.0 or (_bends_at_a_zero(regularizer) and velocity[0] == 0.0)
        return REST if still else NOWHERE
    if held == ORIGIN:
        share = weight if regularizer == PATH_NORM else 0.0
        return ORIGIN if stays_at_origin(theta, free, kinks, jumps, share) else NOWHERE
    if _meets_rest(before, ahead, theta, regularizer) and _comes_to_rest(theta, velocity, regularizer, weight):
        return REST
    if at_origin and _meets_origin(before, ahead, theta, velocity):
        _hold_at_origin(theta, before[1:])
        return ORIGIN
    return NOWHERE


@jit
def may_rest(before, ahead, theta, i):
    """Return whether particle i, which does not rest, may come to do so: all other cases are decided by this alone."""
    a, w0, w1 = before[i, 0], 0.0, 0.0
    for k in range(1, theta.shape[1]):
        w0 += before[i, k] * theta[i, k]
        w1 += before[i, k] * ahead[i, k]
    return (a * theta[i, 0] <= 0.0) | (a * ahead[i, 0] <= 0.0) | (w0 <= 0.0) | (w1 <= 0.0)


@jit
def slide_at_rest(theta, velocity, regularizer, weight):
    """Subtract from the velocity of a particle at rest on the kink of V the share that makes it least."""
    if _bends_at_a_zero(regularizer) and theta[0] == 0.0:
        share = _pull_to_a_zero(theta, regularizer, weight)
        velocity[0] = math.copysign(max(0.0, abs(velocity[0]) - share), velocity[0])
    elif regularizer == NORM and dot(theta, theta) == 0.0:
        size = math.sqrt(dot(velocity, velocity))
        velocity *= max(0.0, 1.0 - weight / size) if size > 0.0 else 0.0


@jit
def _meets_rest(before, ahead, theta, regularizer):
    """Return whether the kink of V lies between `before` and where the step led, or where it set out to."""
    if _bends_at_a_zero(regularizer):
        return before[0] * theta[0] < 0.0 or before[0] * ahead[0] < 0.0
    if regularizer == NORM:
        return dot(before, theta) < 0.0 or dot(before, ahead) < 0.0
    return False


@jit
def _comes_to_rest(theta, velocity, regularizer, weight):
    """Move the particle onto the kink of V if it cannot leave it; return whether it does not."""
    if _bends_at_a_zero(regularizer):
        share = _pull_to_a_zero(theta, regularizer, weight)
        rests = abs(velocity[0] + share * np.sign(theta[0])) < share
        if rests:
            theta[0] = 0.0
    else:
        size = math.sqrt(dot(theta, theta))
        free = velocity.copy()
        add_multiple(weight / size if size > 0.0 else 0.0, theta, free)
        rests = dot(free, free) < weight * weight
        if rests:
            theta[:] = 0.0
    return rests


@jit
def _meets_origin(before, ahead, theta, velocity):
    """Return whether w ran through 0, or set out to, and is driven back."""
    back = dot(before[1:], theta[1:]) < 0.0 or dot(before[1:], ahead[1:]) < 0.0
    return back and theta[0] != 0.0 and dot(velocity[1:], theta[1:]) < 0.0


@jit
def _hold_at_origin(theta, direction):
    """Put w at 0, but for its direction."""
    size = TINY * abs(theta[0]) / math.sqrt(dot(direction, direction))
    for k in range(direction.size):
        theta[1 + k] = size * direction[k]


@jit
def stays_at_origin(theta, free, kinks, jumps, share):
    """Return whether no way down leads away from w = 0 in the direction of w; turn that direction downhill.

    Near w = 0 the direction moves infinitely fast, to a minimum of the potential on the sphere. It is followed by a
    small turn a step; when the way out goes down, the direction is turned until it is the steepest one nearby.
    """
    direction = theta[1:].copy()
    _normalise(direction)
    velocity = free[1:].copy()
    leaves = dot(velocity, direction) > 0.0
    base = velocity.copy()
    add_multiple(share * abs(theta[0]), direction, base)
    if leaves:
        _add_share_of_kinks(-1.0, direction, theta[0], kinks, jumps, base)
    for turn in range(_TURNS if leaves else 1):
        size = math.sqrt(dot(velocity, velocity))
        if size == 0.0:
            break
        along, angle = dot(velocity, direction), 0.1 / (1.0 + 0.1 * turn) / size
        for k in range(direction.size):
            direction[k] += angle * (velocity[k] - along * direction[k])
        _normalise(direction)
        if leaves:
            copy(base, velocity)
            _add_share_of_kinks(1.0, direction, theta[0], kinks, jumps, velocity)
            add_multiple(-share * abs(theta[0]), direction, velocity)
    _hold_at_origin(theta, direction)
    return not leaves


@jit
def _normalise(direction):
    size = math.sqrt(dot(direction, direction))
    for k in range(direction.size):
        direction[k] /= size


@jit
def _add_share_of_kinks(sign, direction, a, kinks, jumps, out):
    """Add ∓a Σ r_j x_j, over the data that are active in a direction, to a velocity."""
    for j in range(kinks.shape[0]):
        if dot(direction, kinks[j]) > 0.0:
            add_multiple(-sign * a * jumps[j], kinks[j], out)
