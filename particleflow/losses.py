"""Convex losses ℓ(f, y) and half their derivative in the prediction f.

The potential of the flow is half the first variation of the risk (see `particleflow.energy`), so ½ℓ' is what drives
the particles: for the squared loss ℓ = (f − y)² it is the residual f − y.
"""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.errors import InvalidInput, lookup
from particleflow.jit import jit

SQUARED, LOGISTIC, HUBER = range(3)


@dataclass(frozen=True)
class Loss:
    """A loss ℓ(f, y), convex in the prediction f.

    - squared: (f − y)²
    - logistic: log(1 + exp(−y f)) with labels y = −1 or +1
    - huber: ½(f − y)² where |f − y| ≤ 1, else |f − y| − ½ (Huber 1964; half the squared loss near the target)

    Attributes
    ----------
    name : str
        The name used in configurations.
    code : int
        What the compiled kernels switch on.
    formula : str
        ℓ as a formula (Matplotlib's mathtext).
    """

    name: str
    code: int
    formula: str

    def value(self, f, y):
        """Return ℓ(f, y) elementwise, for arrays of the same shape."""
        return self._evaluate(loss_values, f, y)

    def half_derivative(self, f, y):
        """Return ½ ∂ℓ/∂f (f, y) elementwise, for arrays of the same shape."""
        return self._evaluate(half_derivatives, f, y)

    def check_targets(self, y):
        """Raise `InvalidInput` unless this loss is defined for the targets y, shape (n,)."""
        if self.code == LOGISTIC and not np.isin(y, (-1.0, 1.0)).all():
            wrong = np.asarray(y)[~np.isin(y, (-1.0, 1.0))][0]
            raise InvalidInput(f'loss = "logistic" needs targets -1 and +1, found {wrong:g}')

    def _evaluate(self, kernel, f, y):
        f, y = np.broadcast_arrays(np.asarray(f, dtype=np.float64), np.asarray(y, dtype=np.float64))
        out = np.empty(f.shape)
        kernel(self.code, np.ravel(f), np.ravel(y), out.reshape(-1))
        return out


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("squared", SQUARED, r"(f-y)^2"),
        Loss("logistic", LOGISTIC, r"\log(1+e^{-yf})"),
        Loss("huber", HUBER, r"\mathrm{huber}(f-y)"),
    )
}


def get_loss(name):
    """Return the loss of that name (or a `Loss` as it is); see `particleflow.errors.lookup`."""
    return lookup("loss", name, LOSSES)


@jit
def loss_values(code, f, y, out):
    """Fill `out` with ℓ(f, y); 1-D arrays of one length."""
    for i in range(f.size):
        if code == SQUARED:
            out[i] = (f[i] - y[i]) ** 2
        elif code == LOGISTIC:
            z = y[i] * f[i]
            out[i] = math.log1p(math.exp(-abs(z))) - min(z, 0.0)  # never overflows
        else:
            r = abs(f[i] - y[i])
            out[i] = 0.5 * r * r if r <= 1.0 else r - 0.5


@jit
def half_derivatives(code, f, y, out):
    """Fill `out` with ½ ∂ℓ/∂f (f, y); 1-D arrays of one length."""
    for i in range(f.size):
        if code == SQUARED:
            out[i] = f[i] - y[i]
        elif code == LOGISTIC:
            z = y[i] * f[i]
            decay = math.exp(-abs(z))
            out[i] = -0.5 * y[i] * (decay if z >= 0.0 else 1.0) / (1.0 + decay)
        else:
            r = f[i] - y[i]
            out[i] = 0.5 * r / (abs(r) if abs(r) > 1.0 else 1.0)
