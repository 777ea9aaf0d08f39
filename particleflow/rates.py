"""Rates of decay, fitted to what a flow measured, with confidence intervals."""

import math
from dataclasses import dataclass

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.values import is_real

LAWS = ("exponential", "power")


@dataclass(frozen=True)
class Rate:
    """A fitted law of decay: prefactor · e^{−rate t}, or prefactor · t^{−rate}.

    Attributes
    ----------
    law : str
        "exponential" or "power".
    rate : float
        κ; negative for values that grow.
    low, high : float
        Its confidence interval.
    confidence : float
        How likely the interval holds κ if the logarithms scatter independently and normally about the law. Values along
        one flow do not: the interval tells how well the law fits, not how often it would come out so again.
    prefactor : float
        C.
    scatter : float
        Standard deviation of the logarithms about the law, with n − 2 degrees of freedom.
    n : int
        Number of values.
    """

    law: str
    rate: float
    low: float
    high: float
    confidence: float
    prefactor: float
    scatter: float
    n: int

    def __call__(self, t):
        """Return the law at the times t."""
        t = np.asarray(t, dtype=float)
        return self.prefactor * (np.exp(-self.rate * t) if self.law == "exponential" else t**-self.rate)


def fit_rate(t, values, *, law="exponential", confidence=0.95):
    """Fit a law of decay by least squares on logarithms.

    log v_k = c − κ s_k + ε_k, where s = t for the exponential law and s = log t for the power law. The interval is
    κ ± τ_{n−2} √(scatter² / Σ(s_k − s̄)²), with the quantile τ of Student's t (Draper & Smith 1998, *Applied Regression
    Analysis*, §1.4).

    Parameters
    ----------
    t, values : array_like, shape (n,)
        Times and the values v > 0 there, n ≥ 3. Choose the window where the law is to hold.
    law : {"exponential", "power"}
        The power law needs t > 0.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Rate

    Raises
    ------
    InvalidInput
        If the numbers are fewer than three, not finite, not positive where logarithms need it, the times are all the
        same, or an option is not valid.

    Examples
    --------
    >>> import numpy as np, particleflow as pf
    >>> t = np.linspace(0.0, 2.0, 9)
    >>> round(pf.fit_rate(t, 3.0 * np.exp(-0.5 * t)).rate, 12)
    0.5
    """
    if law not in LAWS:
        raise InvalidInput(f"law = {law!r} is unknown; valid: {', '.join(LAWS)}")
    if not (is_real(confidence) and 0 < confidence < 1):
        raise InvalidInput(f"confidence = {confidence!r}: valid are numbers between 0 and 1")
    t, values = _column("t", t), _column("values", values)
    if len(t) != len(values) or len(t) < 3:
        raise InvalidInput(f"t has {len(t)} numbers and values {len(values)}: a fit needs as many of each, at least 3")
    for name, numbers in (("values", values), ("t", t))[: 1 + (law == "power")]:
        if not numbers.min() > 0:
            raise InvalidInput(f"{name} has the value {numbers.min():g}: logarithms need numbers above 0; leave it out")
    s, logs, n = np.log(t) if law == "power" else t, np.log(values), len(t)
    centred = s - s.mean()
    spread = float(centred @ centred)
    if not spread > 0:
        raise InvalidInput(f"t = {t[0]:g} throughout: a rate needs different times")
    slope = float(centred @ logs) / spread
    level = float(logs.mean() - slope * s.mean())
    residuals = logs - level - slope * s
    scatter = math.sqrt(float(residuals @ residuals) / (n - 2))

    from scipy.stats import t as student

    margin = float(student.ppf(0.5 + confidence / 2, n - 2)) * scatter / math.sqrt(spread)
    return Rate(law, -slope, -slope - margin, -slope + margin, float(confidence), math.exp(level), scatter, n)


def _column(name, numbers):
    try:
        numbers = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is not an array of numbers") from None
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InvalidInput(f"{name} has shape {numbers.shape}; valid is a list of finite numbers")
    return numbers
