"""What the rest of the house asks of a model."""

from typing import Protocol


class Model(Protocol):
    """A mean-field network f_μ(x) = ∫ φ(θ, x) μ(dθ).

    Particles are arrays theta of shape (m, p), inputs arrays X of shape (n, d).
    """

    kind: str
    """The name used in configurations."""
    parameters: tuple
    """The keys of its table in a configuration beside kind and activation."""
    exchangeable: bool
    """Whether f is an integral over particles: not where particles share parameters."""

    def layout(self, d):
        """Return the `particleflow.measure.Layout` of a particle for inputs in R^d."""

    def admissible(self, theta):
        """Return particles (m, p) with the entries that are no parameters set to 0."""

    def features(self, theta, X):
        """Return φ(θ_i, x_j), shape (m, n); where particles are not exchangeable, theta must be all of them."""

    def feature_gradients(self, theta, X):
        """Return ∇_θ φ(θ_i, x_j), shape (m, n, p); for exchangeable particles only."""

    def predict(self, theta, X):
        """Return f(x_j) = (1/m) Σ_i φ(θ_i, x_j), shape (n,)."""

    def make_velocity(self, data, loss, regularizer, strength, m, *, sliding=True):
        """Return a compiled ``velocity(theta, out) -> parts`` for m particles on data.X (n, d) and data.y (n,).

        It fills out (m, p) with −∇G(θ_i) = −E[½ℓ'(f, y) ∇φ(θ_i, x)] − (λ/2)∇V(θ_i) and returns the parts of L:
        "risk" = E[ℓ(f, y)] and "regularization" = λ∫V dμ. With `sliding` it may slide along kinks, where the model
        knows how (`particleflow.models.sliding`); without, it reads data.X and data.y anew at each call, so that their
        entries may be exchanged in place.
        """

    def add_regularizer(self, regularizer, theta, scale, value, gradient):
        """Fill value (m,) with V(θ_i) and add scale·∇Σ_i V(θ_i) to gradient (m, p)."""

    def regularizer_value(self, regularizer, theta):
        """Return V(θ_i), shape (m,)."""

    def conserved(self, theta, regularizer):
        """Return the quantities that the flow conserves, a dict of name → array (possibly empty)."""

    def describe(self):
        """Return the model's table of a configuration."""
