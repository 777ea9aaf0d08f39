"""Mirror descent for weighted points (r, x): weights change by factors, r ← r e^{h ṙ/r}, and positions by x ← x + h ẋ.

It is Euler's method with the mirror retraction of Chizat (2022, §2); Euler's own r ← r + h ṙ is the canonical one. No
weight ever changes its sign, whatever the step.
"""

import numpy as np

from particleflow.integrators.runge_kutta import RungeKutta


class MirrorDescent(RungeKutta):
    """Mirror descent; parameters as for `RungeKutta` with Euler's tableau, the weights being the first column."""

    def _try(self, state, h):
        theta, dissipated = super()._try(state, h)
        r, change = state.theta[:, 0], self._slopes[0][:, 0]
        theta[:, 0] = r * np.exp(h * np.divide(change, r, where=r != 0, out=np.zeros_like(r)))
        return theta, dissipated
