"""Models: what one particle contributes to the prediction, φ(θ, x)."""

from particleflow.errors import InvalidInput
from particleflow.models.two_layer import TwoLayer

MODELS = {model.kind: model for model in (TwoLayer,)}


def build_model(kind, activation):
    """Return the model of a [model] table, for example ``build_model("two-layer", "relu")``.

    Raises
    ------
    InvalidInput
        If kind or activation is unknown.
    """
    if kind not in MODELS:
        raise InvalidInput(f"model.kind = {kind!r} is unknown; valid: {', '.join(MODELS)}")
    return MODELS[kind](activation)
