"""The page of a study: one HTML file with its figures inside, that needs no network."""

import base64
from html import escape

from validation.study.figures import encode
from validation.study.results import CLEARLY, CLOSE, NEAR
from validation.study.settings import (
    ADAM_RATE,
    FLOW_STEP,
    GAMMA,
    LISTED_NORM,
    MODES,
    RISE,
    STRENGTH,
    TEXT_NORM,
    TEXT_RATE,
)

CHOICES = (
    (
        "training loop",
        "the text: gradient descent; the listing: Adam",
        "both: Adam with all data at once, and gradient descent so small in step that it follows the gradient flow",
    ),
    (
        "step",
        f"the text: τ = {TEXT_RATE:g}; the listing: {TEXT_RATE:g} at first, then {ADAM_RATE:g}",
        f"Adam takes {ADAM_RATE:g}. Gradient descent with τ = {TEXT_RATE:g} hardly moves (table below), so the "
        "flow takes larger steps",
    ),
    ("iterations", "the text: 1000; the listing: 200, then 1000", "{iterations}"),
    (
        "start of the model",
        "the teacher is Gaussian; of the model nothing is said. The listing defines an initialisation that is never "
        "called, so it starts from the defaults of PyTorch's layers, uniform on ±1/√(inputs)",
        "those defaults: the report's errors lie between 0 and 1, which they give. A Gaussian start, as a check, "
        "begins at errors of several units",
    ),
    (
        "factor 1/m",
        "in the text and in the listing's teacher, not in the listing's network",
        "f = (1/m) Σ φ everywhere. The listing's network is the same one with every layer times m^(1/L) for L layers; "
        "Adam does not see the scale of gradients: the start and its learning rate are multiplied by m^(1/L) too",
    ),
    (
        "regulariser",
        "the text: a path norm; the listing: the mean of |a| times the squared norms of all other layers together",
        f"λ = {STRENGTH:g}; for Adam {LISTED_NORM}, |a|(‖W‖² + ‖u‖²) neuron by neuron; for the flow {TEXT_NORM}",
    ),
    (
        "mask",
        "the text: a matrix of Bernoulli entries, s/m and s_t/m_t; the listing: a matrix for the model, for the "
        "teacher one vector for all clusters; the definition: exactly s entries",
        "a matrix of Bernoulli entries for both, drawn before training",
    ),
    (
        "teacher",
        "the text: m_t neurons, s_t read; the listing's last cell: m clusters with s neurons of their own each",
        "m_t and s_t. Models that are compared share teacher and data, which the report does not say of its own",
    ),
    (
        "soft model",
        "no listing and no γ",
        f"γ Σ W2²(μ^k, μ^l) over all pairs of rows W_k, γ = {GAMMA:g}: at the start penalty and usual loss "
        "are of one size",
    ),
    ("test data", "new ones, as many", "the same; measured at about 40 moments along training"),
)

NOTES = {
    "Final test errors": "<p>Mean ± standard deviation over the seeds.</p>",
    "Gradient flows": "<p>The mean of f*² over the training data, the step that was taken, and how far it led.</p>",
    "Gradient descent": "<p>Runs with few, larger steps end at the same flow time; where both were made, compare.</p>",
    "Checks": "<p>Seed 0; at first the runs of the figures. Arrows go from the start to the end of training.</p>",
}
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Numerical study</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.88rem; }
td, th { border-top: 1px solid #ccc; padding: 0.25rem 0.7rem 0.25rem 0; text-align: left; vertical-align: top; }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; width: 29rem; max-width: 100%; } img { width: 100%; }
figcaption { font-size: 0.88rem; } .yes { color: #00694d; } .no { color: #a63c00; }
</style></head><body>
"""


def write_page(folder, results, figures, footer):
    """Write DIR/index.html and the figures as PNG, and return the page's path."""
    for name, (figure, _) in figures.items():
        (folder / f"{name}.png").write_bytes(encode(figure, "png"))
    parts = [_HEAD, "<h1>The numerical study of Lazarus 2022, §2.5.2, run again</h1>", _introduction(results)]
    parts += ["<h2>Verdicts</h2>", _verdicts(results), "<h2>Figures</h2>", _figures(results.plan, figures)]
    for title, table in results.tables().items():
        parts += [f"<h2>{escape(title)}</h2>", NOTES[title.split(":")[0].split(" with")[0]], _table(*table)]
    parts += ["<h2>Where the report disagrees with itself</h2>", _choices(results.plan)]
    parts += [f"<p>{escape(footer)}</p></body></html>\n"]
    path = folder / "index.html"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _introduction(results):
    plan, sizes = results.plan, results.plan.sizes
    seeds = ", ".join(f"{MODES[mode].title}: {seeds}" for mode, seeds in plan.seeds.items())
    return f"""<p>n = {sizes.n} Gaussian inputs in dimension d = {sizes.d}, labelled by a random teacher with m_t =
{sizes.m_t}, s_t = {sizes.s_t} and Gaussian parameters; models with m = {sizes.m}, s = {sizes.s}; squared loss, λ =
{STRENGTH:g}; the criterion is the test error ‖f − f*‖²/‖f*‖² on {sizes.n} new inputs. Adam takes {sizes.iterations}
iterations. Seeds: {escape(seeds)}.</p>
<p>The gradient flow is followed by {sizes.descents} steps of gradient descent (explicit Euler) of {FLOW_STEP:g} in
flow time, or η = {FLOW_STEP * sizes.m / 2:g}. If the energy rises to {RISE:g} times its lowest value, the flow begins
anew with half the step, and ends where as many steps lead: some teachers are much larger than others, and what they
teach is learned faster (table below). On two problems half the step leads to the same errors (checks). Neurons that
meet a kink of relu or of V zigzag across it: the energy falls along these flows, but by less than they dissipate.</p>
<p>After k steps the flow time is t = 2ηk/m. One iteration of the report's τ = {TEXT_RATE:g} is worth t =
{2 * TEXT_RATE / sizes.m:.1e}: t = 1 takes {sizes.m / (2 * TEXT_RATE):.3g} of them.</p>"""


def _verdicts(results):
    rules = f"""<p>Rules: a model <i>learns</i> if its test error falls below {CLEARLY:g} times that at the start for
every seed. The hard model is <i>clearly better</i> than the unsynchronised one if it is so for every seed and its mean
error is below {CLEARLY:g} times the other's. Two models <i>perform alike</i> if their errors differ by at most
{100 * CLOSE:.0f} % on average over the seeds. Percentages <i>reproduce</i> within {NEAR:g} points.</p>
<p>The report says that the hard model's efficiency is clear while the soft one is close to the unsynchronised one. This
can be read in two ways; both are judged.</p>"""
    items, claim = [], None
    for verdict in results.verdicts():
        if verdict.claim != claim:
            claim = verdict.claim
            items.append(f"<h3>“{escape(claim[0].upper() + claim[1:])}”</h3>")
        look = "yes" if verdict.holds else "no"
        title = escape(MODES[verdict.mode].title)
        items.append(f'<p>{title}: <b class="{look}">{verdict.word}</b>. {escape(verdict.numbers)}</p>')
    return "\n".join([rules, *items])


def _figures(plan, figures):
    items = []
    for name, (figure, caption) in figures.items():
        image = base64.b64encode(encode(figure, "svg")).decode()
        label = name.replace("-", " ").capitalize() if name[-1].isdigit() else "Compared"
        items.append(
            f'<figure id="{name}"><img alt="{escape(caption)}" src="data:image/svg+xml;base64,{image}">'
            f"<figcaption>{label}. {escape(caption)}.</figcaption></figure>"
        )
    note = (
        "<p>Lines are medians over the seeds, bands go from the smallest to the largest, as far as all seeds "
        "came; tables and verdicts are about where each of them ended. Dotted: the report's −46 % and −83 %.</p>"
    )
    return note + '<div class="figures">' + "\n".join(items) + "</div>"


def _choices(plan):
    rows = [
        [what, said, chosen.format(iterations=f"{plan.sizes.iterations} of Adam, {plan.sizes.descents} of the flow")]
        for what, said, chosen in CHOICES
    ]
    return _table(["what", "the report", "here"], rows)


def _table(header, rows):
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join(lines) + "</table>"


def markdown(header, rows):
    """Return a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
