"""The dual of the problem over measures on the sphere, for every loss.

    min_ν (1/n) Σ_j ℓ(f_j, y_j) + λ|ν|  =  max_q −(1/n) Σ_j ℓ*(−n q_j, y_j)  subject to  h(q) ≤ λ,
    h(q) = sup_{‖w‖ = 1} |Σ_j q_j σ(⟨w, x_j⟩)|,  ℓ* the conjugate of ℓ in its prediction (Fenchel's duality)

Any q with h(q) ≤ λ bounds the minimum from below; the optimal one is q_j = −ℓ'(f_j, y_j)/n.
"""

import numpy as np

from particleflow.losses import LOGISTIC, SQUARED


def curvature(loss, f, y):
    """Return ℓ''(f, y) elementwise; for the huber loss 0 beyond its corners."""
    if loss.code == SQUARED:
        return np.full(f.shape, 2.0)
    if loss.code == LOGISTIC:
        decay = np.exp(-np.abs(f))
        return decay / (1.0 + decay) ** 2
    return (np.abs(f - y) <= 1.0).astype(float)


def conjugate(loss, p, y):
    """Return ℓ*(p, y) = sup_f (p f − ℓ(f, y)) elementwise; infinite outside its domain."""
    if loss.code == SQUARED:
        return p * y + 0.25 * p * p
    if loss.code == LOGISTIC:
        s = -p * y
        inside = (s >= 0.0) & (s <= 1.0)
        s = np.clip(s, 0.0, 1.0)
        return np.where(inside, _x_log_x(s) + _x_log_x(1.0 - s), np.inf)
    return np.where(np.abs(p) <= 1.0, p * y + 0.5 * p * p, np.inf)


def dual_value(loss, q, y, h, strength):
    """Return a lower bound of the minimum: the dual objective at a multiple of q that is feasible, h being h(q)."""
    n = len(y)
    rho = 1.0 if h <= strength else strength / h
    if loss.code == SQUARED and np.any(q):
        best = 2.0 * float(q @ y) / (n * float(q @ q))  # on the ray of q
        rho = max(0.0, min(best, strength / h if h > 0.0 else np.inf))
    return -float(np.mean(conjugate(loss, -n * rho * q, y)))


def _x_log_x(x):
    return x * np.log(np.where(x > 0.0, x, 1.0))
