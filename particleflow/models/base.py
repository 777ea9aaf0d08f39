"""What the rest of the house asks of a model."""

from typing import Protocol


class Model(Protocol):
    """A mean-field network f_μ(x) = ∫ φ(θ, x) μ(dθ).

    Particles are arrays theta of shape (m, p), inputs arrays X of shape (n, d).
    """

    kind: str
    """The name used in configurations."""

    def layout(self, d):
        """Return the `particleflow.measure.Layout` of a particle for inputs in R^d."""

    def features(self, theta, X):
        """Return φ(θ_i, x_j), shape (m, n)."""

    def feature_gradients(self, theta, X):
        """Return ∇_θ φ(θ_i, x_j), shape (m, n, p)."""

    def predict(self, theta, X):
        """Return f(x_j) = (1/m) Σ_i φ(θ_i, x_j), shape (n,)."""

    def make_velocity(self, data, loss, regularizer, strength, m, *, sliding=True):
        """Return a compiled ``velocity(theta, out) -> parts`` for m particles on data.X (n, d) and data.y (n,).

        Without `sliding` it is the plain velocity, which reads the data anew at each call: they may change in place.

        It fills out (m, p) with −∇G(θ_i) = −E[½ℓ'(f, y) ∇φ(θ_i, x)] − (λ/2)∇V(θ_i) and returns the parts of L:
        "risk" = E[ℓ(f, y)] and "regularization" = λ∫V dμ.
        """

    def conserved(self, theta, regularizer):
        """Return the quantities that the flow conserves, a dict of name → array (possibly empty)."""

    def describe(self):
        """Return the model's table of a configuration."""
