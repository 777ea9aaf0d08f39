"""The problem that a stored flow solves, in formulas of HTML (the convention: docs/mathematics.md)."""

import re
from html import escape

from particleflow.activations import ACTIVATIONS
from particleflow.built_in_kernels import PAIR_KERNELS
from particleflow.losses import LOSSES
from particleflow.regularizers import REGULARIZERS

_PHI = {
    "two-layer": ("θ = (a, w)", "φ(θ, x) = a σ(⟨w, x⟩)"),
    "three-layer": (
        "θ = (a, u, W)",
        "φ(θ, x) = a σ(Σ<sub>k</sub> u<sub>k</sub> σ(⟨W<sub>k</sub>, x⟩))",
    ),
    "hard-synchronized": (
        "θ<sub>i</sub> = (a<sub>i</sub>, u<sub>i</sub>, W<sub>i</sub>)",
        "φ<sub>i</sub>(x) = a<sub>i</sub> σ(Σ<sub>k</sub> u<sub>ik</sub> σ(⟨W<sub>S(i,k)</sub>, x⟩))",
    ),
}
_V = {
    "three-layer": {
        "path-norm": "|a| Σ<sub>k</sub> |u<sub>k</sub>| ‖W<sub>k</sub>‖",
        "scaled-squared-norm": "|a|(‖u‖² + ‖W‖²)",
    },
    "hard-synchronized": {
        "path-norm": "|a<sub>i</sub>| Σ<sub>k</sub> |u<sub>ik</sub>| ‖W<sub>S(i,k)</sub>‖",
        "scaled-squared-norm": "|a<sub>i</sub>|(‖u<sub>i</sub>‖² + Σ<sub>k</sub> ‖W<sub>S(i,k)</sub>‖²)",
        "norm": "‖θ<sub>i</sub>‖",
        "squared-norm": "‖θ<sub>i</sub>‖²",
    },
}
_WORDS = ("data ν", "kernel", "steps")
_MEANING = {
    r"\max": "max",
    r"\tanh ": "tanh ",
    r"\log": "log",
    r"\theta": "θ",
    r"\,": " ",
    r"\|": "‖",
    r"\mathrm{erf}": "erf",
    r"\mathrm{huber}": "huber",
    r"\sqrt{2}": "√2",
    "-": "−",
}


def problem(trajectory):
    """Return the problem of a stored flow as rows (what it is, formula in HTML)."""
    model, energy, flow = (trajectory.config.get(table, {}) for table in ("model", "energy", "flow"))
    kind = model.get("kind")
    rows = _network(model, energy, trajectory) if kind in _PHI else _pairs(energy)
    rows += _flow(flow, trajectory.m, "θ" if kind in _PHI else "x", kind == "hard-synchronized")
    return [(name, formula if name in _WORDS else _slanted(formula)) for name, formula in rows]


def _network(model, energy, trajectory):
    kind, sigma = model["kind"], ACTIVATIONS.get(model.get("activation"))
    particle, phi = _PHI[kind]
    if shared := kind == "hard-synchronized":  # its particles are no sample of a law
        f, mean, L, penalized = "f(x)", "(1/m) Σ<sub>i</sub> φ<sub>i</sub>(x)", "L", "(λ/m) Σ<sub>i</sub> V<sub>i</sub>"
    else:
        f, mean, L, penalized = "f<sub>μ</sub>(x)", "∫ φ(θ, x) μ(dθ)", "L[μ]", "λ∫V dμ"
    rows = [("network", f"{f} = {mean}, &nbsp; {phi}, &nbsp; {particle}")]
    if sigma is not None:
        rows.append(("activation", f"σ(z) = {_html(sigma.formula)}"))
    loss, V = LOSSES.get(energy.get("loss", "squared")), REGULARIZERS.get(energy.get("regularizer", "path-norm"))
    strength, penalty = energy.get("strength", 0.0), energy.get("synchronization")
    terms = [f"E<sub>ν</sub>[ℓ({f}, y)]"] + [penalized] * bool(strength) + ["γ D(μ)"] * bool(penalty)
    rows.append(("energy", f"{L} = {' + '.join(terms)}"))
    given = [f"ℓ(f, y) = {_html(loss.formula)}"] if loss else []
    if strength and V:
        of = "V<sub>i</sub>" if shared else "V(θ)"
        given.append(f"{of} = {_V.get(kind, {}).get(V.name, _html(V.formula))}")
        given.append(f"λ = {_value(strength)}")
    if penalty:
        given.append(f"γ = {_value(penalty.get('strength'))}, D = {_value(penalty.get('term'))}")
    rows.append(("with", ", &nbsp; ".join(given)))
    rows.append(("data ν", _data(trajectory)))
    if not shared:
        regular = " + (λ/2) V(θ)" if strength else ""
        regular += " + ½γ δD/δμ(θ)" if penalty else ""
        G = "½ δL/δμ(θ) = E<sub>ν</sub>[½ℓ′(f<sub>μ</sub>(x), y) φ(θ, x)]"
        rows.append(("potential", f"G(θ, μ) = {G}{regular}"))
    return rows


def _data(trajectory):
    data = trajectory.data
    if data is None:
        return (
            "inputs x ~ N(0, I), targets of a teacher"
            if "teacher" in trajectory.config.get("data", {})
            else "not stored"
        )
    features = ", ".join(escape(name) for name in data.features[:8]) + (", …" if data.d > 8 else "")
    held = f", {data.n_test} test rows" if data.n_test else ""
    return f"{data.n} rows of {escape(data.origin)}: {escape(data.target)} from {features}{held}"


def _pairs(energy):
    rows = [
        ("energy", "L[μ] = C − 2∫F dμ + ∬K dμ dμ"),
        ("potential", "G(x, μ) = ∫K(x, y) μ(dy) − F(x)"),
    ]
    built, given = PAIR_KERNELS.get(energy.get("kernel")), energy.get("parameters", {})
    if built is not None:
        rows.append(("kernel", escape(" ".join(built.build.__doc__.split("\n\n")[0].split()).removeprefix("Return "))))
    elif "field" in energy:
        rows.append(("kernel", f"F = {_value(energy['field'])}, K = {_value(energy.get('interaction'))} (compiled)"))
    if given:
        items = given.items() if isinstance(given, dict) else [("parameters", given)]
        rows.append(("with", ", &nbsp; ".join(f"{escape(str(key))} = {_value(value)}" for key, value in items)))
    return rows


def _flow(flow, m, particle, shared):
    one = f"{particle}<sub>i</sub>"
    velocity = f"−(m/2) ∂L/∂{one}" if shared else f"−∇G({one}, μ<sub>m</sub>)"
    method = flow.get("method")
    if method == "langevin":
        rows = [
            ("flow", "∂<sub>t</sub>μ = div(μ ∇G(·, μ)) + T Δμ"),
            ("particles", f"d{one} = {velocity} dt + √(2T) dB<sub>i</sub>, &nbsp; m = {m}"),
        ]
        return [*rows, ("temperature", f"T = {_value(flow.get('temperature'))}")]
    if method in ("sgd", "adam"):
        step = f"η = {_value(flow.get('learning_rate'))}"
        name = "Adam" if method == "adam" else "gradient"
        cloud = f"{particle}<sub>1</sub>, …, {particle}<sub>m</sub>"
        return [("steps", f"{name} steps on L({cloud}), {step}, m = {m}; flow time t = 2ηk/m")]
    integral, particles = "2∫<sub>0</sub><sup>t</sup>", f"d{one}/dt = {velocity}, &nbsp; i = 1, …, m = {m}"
    if shared:
        lost = f"{integral} (1/m) Σ<sub>i</sub> |d{one}/ds|² ds"
        return [("particles", particles), ("energy balance", f"L(t) + {lost} = L(0)")]
    lost = f"{integral}∫|∇G|² dμ<sub>s</sub> ds"
    return [
        ("flow", "∂<sub>t</sub>μ = div(μ ∇G(·, μ))"),
        ("particles", particles),
        ("energy balance", f"L[μ<sub>t</sub>] + {lost} = L[μ<sub>0</sub>]"),
    ]


def _value(value):
    """Return a value of a configuration as escaped text, shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{escape(str(key))} {_value(item)}" for key, item in value.items())
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return escape(text if len(text) <= 80 else f"{text[:79]}…")


def _slanted(formula):
    """Return a formula with its letters, those that stand alone, in italics; differentials are upright."""
    parts = re.split(r"(<[^>]*>|&#?\w+;)", formula)
    return "".join(
        part if k % 2 else re.sub(r"(?<![A-Za-z])(?!d\w)([A-Za-z])(?![A-Za-z])", r"<i>\1</i>", part)
        for k, part in enumerate(parts)
    )


def _html(formula):
    """Return one of our own formulas in mathtext as HTML."""
    for command, sign in _MEANING.items():
        formula = formula.replace(command, sign)
    return re.sub(r"\^(?:\{([^}]*)\}|(\w))", lambda power: f"<sup>{power[1] or power[2]}</sup>", formula)
