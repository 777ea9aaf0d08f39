"""Models: what one particle contributes to the prediction, φ(θ, x)."""

from particleflow.errors import InvalidInput
from particleflow.models.hard_synchronized import HardSynchronized
from particleflow.models.three_layer import ThreeLayer
from particleflow.models.two_layer import TwoLayer

MODELS = {model.kind: model for model in (TwoLayer, ThreeLayer, HardSynchronized)}


def build_model(kind, activation, *, s=None, supports=None):
    """Return the model of a [model] table, for example ``build_model("three-layer", "relu", s=4)``.

    Parameters
    ----------
    kind : str
        "two-layer", "three-layer" or "hard-synchronized".
    activation : str
        σ.
    s : int, optional
        First-layer neurons of a three-layer particle.
    supports : array_like of int, shape (m, s), optional
        What the clusters of a hard-synchronized network read.

    Raises
    ------
    InvalidInput
        If kind or activation is unknown, or s or supports are missing, out of range, or do not apply to this kind.
    """
    if kind not in MODELS:
        raise InvalidInput(f"model.kind = {kind!r} is unknown; valid: {', '.join(MODELS)}")
    model, given = MODELS[kind], {"s": s, "supports": supports}
    for name, value in given.items():
        if value is None and name in model.parameters:
            raise InvalidInput(f'model.{name} is missing: model.kind = "{kind}" needs it')
        if value is not None and name not in model.parameters:
            raise InvalidInput(f'model.{name} does not apply to model.kind = "{kind}"')
    return model(*(given[name] for name in model.parameters), activation=activation)
