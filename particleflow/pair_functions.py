"""Fields F(x) and interactions K(x, y), compiled: each returns the value and fills the gradient.

They are put together in `particleflow.built_in_kernels`; `parameters` is one array of numbers.
"""

import math

from particleflow.jit import jit


@jit
def no_field(x, parameters, gradient):
    """Return 0."""
    gradient[:] = 0.0
    return 0.0


@jit
def harmonic_field(x, parameters, gradient):
    """Return −½λ‖x‖² with λ = parameters[0]."""
    total = 0.0
    for k in range(x.size):
        total += x[k] * x[k]
        gradient[k] = -parameters[0] * x[k]
    return -0.5 * parameters[0] * total


@jit
def quadratic(x, y, parameters, gradient):
    """Return ½κ‖x − y‖² with κ = parameters[1]."""
    total = 0.0
    for k in range(x.size):
        difference = x[k] - y[k]
        total += difference * difference
        gradient[k] = parameters[1] * difference
    return 0.5 * parameters[1] * total


@jit
def logarithmic(x, y, parameters, gradient):
    """Return −g log‖x − y‖ with g = parameters[1]."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    for k in range(x.size):
        gradient[k] = -parameters[1] * (x[k] - y[k]) / total
    return -0.5 * parameters[1] * math.log(total)


@jit
def uniform_field(x, parameters, gradient):
    """Return −E|x − Y| for Y uniform on [0, 1]."""
    if 0.0 <= x[0] <= 1.0:
        gradient[0] = 1.0 - 2.0 * x[0]
        return -(x[0] * x[0] - x[0] + 0.5)
    gradient[0] = -1.0 if x[0] > 1.0 else 1.0
    return -abs(x[0] - 0.5)


@jit
def minus_distance(x, y, parameters, gradient):
    """Return −‖x − y‖."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    distance = math.sqrt(total)
    for k in range(x.size):
        gradient[k] = -(x[k] - y[k]) / distance if distance > 0.0 else 0.0
    return -distance


@jit
def cosine(x, y, parameters, gradient):
    """Return −κ cos(x − y) with κ = parameters[0]."""
    gradient[0] = parameters[0] * math.sin(x[0] - y[0])
    return -parameters[0] * math.cos(x[0] - y[0])


@jit
def power(x, y, parameters, gradient):
    """Return (c/s)‖x − y‖^{−s} with c = parameters[1] and s = parameters[2]."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    power = parameters[1] * total ** (-0.5 * parameters[2])
    for k in range(x.size):
        gradient[k] = -power * (x[k] - y[k]) / total
    return power / parameters[2]


@jit
def bell(x, y, parameters, gradient):
    """Return exp(−‖x − y‖²/2h²) with h = parameters[0]."""
    total = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) ** 2
    value = math.exp(-0.5 * total / parameters[0] ** 2)
    for k in range(x.size):
        gradient[k] = -value * (x[k] - y[k]) / parameters[0] ** 2
    return value


@jit
def bells_field(x, parameters, gradient):
    """Return Σ_j ρ_j exp(−‖x − y_j‖²/2h²); parameters: h, n, the weights ρ (n,), the targets y (n, d)."""
    count = int(parameters[1])
    gradient[:] = 0.0
    value = 0.0
    for j in range(count):
        y = parameters[2 + count + j * x.size : 2 + count + (j + 1) * x.size]
        total = 0.0
        for k in range(x.size):
            total += (x[k] - y[k]) ** 2
        bell = parameters[2 + j] * math.exp(-0.5 * total / parameters[0] ** 2)
        value += bell
        for k in range(x.size):
            gradient[k] -= bell * (x[k] - y[k]) / parameters[0] ** 2
    return value


@jit
def _low_pass(x, order):
    """Return 1 + 2 Σ_{k ≤ order} cos 2πkx and its derivative: the angles are added up by rotations."""
    turn, lift = math.cos(2.0 * math.pi * x), math.sin(2.0 * math.pi * x)
    cosine, sine = 1.0, 0.0
    value, slope = 1.0, 0.0
    for k in range(1, order + 1):
        cosine, sine = cosine * turn - sine * lift, sine * turn + cosine * lift
        value += 2.0 * cosine
        slope -= 4.0 * math.pi * k * sine
    return value, slope


@jit
def low_pass_interaction(x, y, parameters, gradient):
    """Return D_n(x − y) with n = parameters[0]."""
    value, gradient[0] = _low_pass(x[0] - y[0], int(parameters[0]))
    return value


@jit
def low_pass_field(x, parameters, gradient):
    """Return Σ_j b_j D_n(x − y_j) − λ/2; parameters: n, λ, how many, the masses b, the targets y."""
    order, count = int(parameters[0]), int(parameters[2])
    gradient[0] = 0.0
    value = -0.5 * parameters[1]
    for j in range(count):
        one, slope = _low_pass(x[0] - parameters[3 + count + j], order)
        value += parameters[3 + j] * one
        gradient[0] += parameters[3 + j] * slope
    return value
