"""Closed forms of κ(w, v) = E[σ(⟨w, x⟩) σ(⟨v, x⟩)] for Gaussian inputs x ~ N(0, I_d).

- relu: ‖w‖‖v‖ (sin t + (π − t) cos t) / 2π with t the angle between w and v (Cho & Saul 2009)
- erf(z/√2): (2/π) asin(⟨w, v⟩ / √((1 + ‖w‖²)(1 + ‖v‖²))) (Williams 1997; Saad & Solla 1995)
- square: ‖w‖²‖v‖² + 2⟨w, v⟩²
- linear: ⟨w, v⟩

Gradients have the form ∇_w κ = α w + β v. Where a cosine would lose digits, the angle comes from the difference of the
unit vectors.
"""

import math

import numpy as np

from particleflow.activations import ERF, LINEAR, RELU, SQUARE
from particleflow.jit import jit

CLOSED_FORMS = (RELU, ERF, SQUARE, LINEAR)
# 1 − |cos t| below which the angle is computed from the difference of the unit vectors
_NEAR_PARALLEL = 1e-3
_TERMS = 12


@jit
def pair(code, w, v, ww, vv, wv):
    """Return κ(w, v), α and β from the vectors, their squared norms and their inner product."""
    if code == RELU:
        return _relu(w, v, math.sqrt(ww), math.sqrt(vv), wv)
    if code == ERF:
        area = max(0.0, ww * vv - wv * wv)
        rest = math.sqrt(1.0 + ww + vv + area)
        scale = 2.0 / (math.pi * rest)
        return 2.0 / math.pi * math.atan2(wv, rest), -scale * wv / (1.0 + ww), scale
    if code == SQUARE:
        return ww * vv + 2.0 * wv * wv, 2.0 * vv, 4.0 * wv
    return wv, 0.0, 1.0


@jit
def _relu(w, v, size_w, size_v, wv):
    size = size_w * size_v
    if size == 0.0:
        return 0.0, 0.0, 0.0
    cosine = wv / size
    if 1.0 - abs(cosine) < _NEAR_PARALLEL:
        sign = math.copysign(1.0, cosine)
        square = 0.0
        for k in range(w.size):
            square += (w[k] / size_w - sign * v[k] / size_v) ** 2
        small = 2.0 * math.asin(min(1.0, 0.5 * math.sqrt(square)))  # the angle to the nearer of v and −v
        rest = math.pi - small if sign > 0.0 else small
    else:
        rest = math.pi - math.acos(cosine)
    # with δ = π − t: sin t + (π − t) cos t = sin δ − δ cos δ
    sine = math.sin(rest)
    value = _sine_minus(rest) if rest < 0.5 else sine - rest * math.cos(rest)
    return size * value / (2.0 * math.pi), size_v * sine / (2.0 * math.pi * size_w), rest / (2.0 * math.pi)


@jit
def _sine_minus(x):
    """Return sin x − x cos x for small x > 0, where the difference would lose its digits."""
    total = 0.0
    power = x
    for k in range(1, _TERMS):
        power *= x * x / (2 * k * (2 * k + 1))
        total += 2 * k * power if k % 2 == 1 else -2 * k * power
    return total


@jit
def pair_matrices(code, W, V, value, along_w, along_v):
    """Fill κ, α and β (m, k) for all pairs of rows of W (m, d) and V (k, d)."""
    for i in range(W.shape[0]):
        for j in range(V.shape[0]):
            ww = np.sum(W[i] * W[i])
            vv = np.sum(V[j] * V[j])
            wv = np.sum(W[i] * V[j])
            value[i, j], along_w[i, j], along_v[i, j] = pair(code, W[i], V[j], ww, vv, wv)


@jit
def interact(code, W, transposed, squares, weights, inner, start, stop, field, pull):
    """Sum over weighted sources v_s: field_i = Σ weights_s κ(w_i, v_s), pull_i = Σ weights_s ∇_w κ(w_i, v_s).

    Sources are the columns of `transposed` (d, k); the rows start..stop−1 of W are done, with `inner` (1, k) as work.
    """
    d, count = transposed.shape
    v = np.empty(d)
    for i in range(start, stop):
        w = W[i]
        ww = np.sum(w * w)
        for s in range(count):
            inner[0, s] = 0.0
        for k in range(d):
            for s in range(count):
                inner[0, s] += w[k] * transposed[k, s]
        total = 0.0
        own = 0.0
        for s in range(count):
            if code == RELU and 1.0 - abs(inner[0, s]) / math.sqrt(ww * squares[s] + 1e-300) < _NEAR_PARALLEL:
                v[:] = transposed[:, s]
            value, along_w, along_v = pair(code, w, v, ww, squares[s], inner[0, s])
            total += weights[s] * value
            own += weights[s] * along_w
            inner[0, s] = weights[s] * along_v
        field[i] = total
        for k in range(d):
            part = own * w[k]
            for s in range(count):
                part += inner[0, s] * transposed[k, s]
            pull[i, k] = part
