"""A time slider through the stored frames, for a web page: its data as JSON, drawn by plain JavaScript on a canvas.

Panels: the fitted function over its data (one input feature), the particles of a two-layer network with w ∈ R²
(direction of w against signed mass), and points in the plane. Coordinates are integers from 0 to 10000 within a panel.
"""

import json
from contextlib import suppress
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

from particleflow.plot_style import NEGATIVE, POSITIVE, NotApplicable, require
from particleflow.plotting import Fit, require_plane

MOST_FRAMES, MOST_PARTICLES, MOST_DATA, MOST_NODES = 80, 400, 400, 201
_UNIT = 10_000
_APART = 0.07  # of an axis: ticks whose labels do not touch
_ASPECT = 1.42  # of the axes of a panel
_GREY, _BLUE = "#8c8c8c", "#56B4E9"


def player(trajectory):
    """Return the slider of a stored flow as HTML; empty if there is nothing in it that a panel can show.

    Of more than 80 frames or 400 particles, 80 and 400 are shown, always the same. The page needs `SCRIPT` once.
    """
    frames = np.unique(np.linspace(0, len(trajectory) - 1, MOST_FRAMES).round().astype(int))
    clouds = [trajectory.particles(frame) for frame in frames]
    panels = []
    for panel in (_function, _directions, _points):
        with suppress(NotApplicable):
            panels.append(panel(trajectory, clouds))
    if not panels:
        return ""
    film = {"times": [f"{t:.4g}" for t in trajectory.time[frames]], "panels": panels}
    data = json.dumps(film, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    names = "".join(f'<canvas role="img" aria-label="{escape(panel["title"])}"></canvas>' for panel in panels)
    last = len(frames) - 1
    return (
        f'<figure class="player"><div class="panels">{names}</div><div class="controls">'
        f'<button type="button" aria-label="play">▶</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="frame"><output></output></div>'
        f'<script type="application/json">{data}</script></figure>'
    )


# --- panels -----------------------------------------------------------------------------------------------------------


def _function(trajectory, clouds):
    fit = Fit(trajectory)
    nodes = np.unique(np.linspace(0, len(fit.x) - 1, MOST_NODES).round().astype(int))
    curves = np.array([fit.curve(cloud)[nodes] for cloud in clouds])
    data = fit.data
    rows = _chosen(data.n, MOST_DATA)
    x, y = data.inputs_in_units(data.X[rows])[:, 0], data.targets_in_units(data.y[rows])
    across, up = _Axis(data.features[0], fit.x), _Axis(data.target, np.concatenate([curves.ravel(), y]))
    line = {"kind": "line", "x": across(fit.x[nodes])}
    layers = [
        {"kind": "points", "color": _GREY, "x": across(x), "frames": [up(y)]},
        {**line, "color": _BLUE, "dashed": True, "frames": [up(curves[0])]},
        {**line, "color": "black", "frames": [up(curve) for curve in curves]},
    ]
    return _panel("the fitted function; dotted, where it began", across, up, layers)


def _directions(trajectory, clouds):
    require_plane(trajectory)
    rows = _chosen(trajectory.m, MOST_PARTICLES)
    w = np.array([cloud["w"][rows] for cloud in clouds])
    masses = np.array([cloud["a"][rows] for cloud in clouds]) * np.linalg.norm(w, axis=2)
    angles = np.degrees(np.arctan2(w[..., 1], w[..., 0]))
    sizes = np.abs(masses)
    scale = _Arcsinh if sizes.max() > 20 * np.median(sizes) > 0 else _Axis
    across, up = (
        _Axis("direction of w (degrees)", np.array([-180.0, 180.0]), every=90),
        scale("signed mass a‖w‖", masses),
    )
    layers = [
        {
            "kind": "points",
            "color": POSITIVE,
            "below": NEGATIVE,
            "zero": up(np.zeros(1))[0],
            "xs": [across(row) for row in angles],
            "frames": [up(row) for row in masses],
        }
    ]
    return _panel("the particles", across, up, layers)


def _points(trajectory, clouds):
    layout = trajectory.layout
    require(layout.names == ("x",) and layout.size == 2, trajectory, "does not hold points in the plane")
    rows = _chosen(trajectory.m, MOST_PARTICLES)
    x = np.array([cloud["x"][rows] for cloud in clouds])
    if layout.period is not None:
        x = np.mod(x, layout.period)
    width, height = np.ptp(x.reshape(-1, 2), axis=0)
    height = max(height, width / _ASPECT)  # lengths look alike in both directions
    across, up = _Axis("x₁", x[..., 0], least=_ASPECT * height), _Axis("x₂", x[..., 1], least=height)
    layer = {"kind": "points", "color": NEGATIVE, "xs": [across(cloud[:, 0]) for cloud in x]}
    return _panel("the particles", across, up, [{**layer, "frames": [up(cloud[:, 1]) for cloud in x]}])


def _panel(title, across, up, layers):
    axes = {"xlabel": across.label, "ylabel": up.label, "xticks": across.ticks, "yticks": up.ticks}
    return {"title": title, **axes, "layers": layers}


def _chosen(count, most):
    return np.sort(np.random.default_rng(0).choice(count, min(count, most), replace=False))


class _Axis:
    """A linear axis: from values to integers, and its ticks."""

    def __init__(self, label, values, *, every=None, least=0.0):
        self.label = label if len(label) <= 40 else f"{label[:39]}…"
        values = self._scaled(values)
        low, high = float(values.min()), float(values.max())
        middle, half = (low + high) / 2, max(high - low, least) / 2
        low, high = middle - half, middle + half
        margin = 0.04 * ((high - low) or abs(high) or 1.0)
        self._low, self._high = low - margin, high + margin
        self.ticks = [[position, text] for position, text in self._marks(every) if 0 <= position <= _UNIT]

    def __call__(self, values):
        """Return integers from 0 to 10000 as a list."""
        share = (self._scaled(values) - self._low) / (self._high - self._low)
        return (np.clip(share, 0, 1) * _UNIT).round().astype(int).tolist()

    def _scaled(self, values):
        return values

    def _marks(self, every):
        if every is None:
            marks = MaxNLocator(5).tick_values(self._low, self._high)
        else:
            marks = every * np.arange(np.ceil(self._low / every), np.floor(self._high / every) + 1)
        marks = marks[(marks >= self._low) & (marks <= self._high)]
        return zip(self(marks), (f"{mark:.6g}".replace("-", "−") for mark in marks), strict=True)


class _Arcsinh(_Axis):
    """Signed masses that spread over orders of magnitude: linear around 0, logarithmic further out (arcsinh)."""

    def __init__(self, label, values):
        self._unit, self._largest = float(np.median(np.abs(values))), float(np.abs(values).max())
        super().__init__(label, values)

    def _scaled(self, values):
        return np.arcsinh(values / self._unit)

    def _marks(self, every):
        first, last = int(np.ceil(np.log10(self._unit))), int(np.floor(np.log10(self._largest)))
        powers = 10.0 ** np.arange(first, last + 1, 1 + (last - first) // 3)
        powers = powers[np.arcsinh(powers / self._unit) > _APART * (self._high - self._low)]
        marks = np.concatenate([-powers[::-1], [0.0], powers])
        low, high = (self._unit * np.sinh(end) for end in (self._low, self._high))
        marks = marks[(marks >= low) & (marks <= high)]
        return zip(self(marks), (f"{mark:g}".replace("-", "−") for mark in marks), strict=True)


STYLE = """.player { margin: .6rem 0; }
.player .panels { display: flex; flex-wrap: wrap; gap: 1rem; }
.player canvas { flex: 1 1 18rem; min-width: 0; width: 100%; max-width: 30rem; aspect-ratio: 4 / 3; }
.player .controls { display: flex; align-items: center; gap: .8rem; margin-top: .4rem; }
.player input { flex: 1; min-width: 0; max-width: 40rem; accent-color: #0072B2; }
.player button { font: inherit; width: 2.6rem; height: 2.2rem; }
.player output { min-width: 7.5rem; font-variant-numeric: tabular-nums; }
"""

SCRIPT = """<script>
"use strict";
for (const figure of document.querySelectorAll(".player")) {
  const film = JSON.parse(figure.querySelector("script").textContent);
  const canvases = [...figure.querySelectorAll("canvas")];
  const slider = figure.querySelector("input"), button = figure.querySelector("button");
  const output = figure.querySelector("output");
  const unit = 10000, left = 58, right = 8, top = 26, bottom = 40;

  function draw(canvas, panel, frame) {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const x = (k) => left + (k / unit) * (width - left - right);
    const y = (k) => height - bottom - (k / unit) * (height - top - bottom);
    pen.font = "12px Georgia, serif";
    pen.fillStyle = pen.strokeStyle = "#111";
    pen.textAlign = "center";
    pen.fillText(panel.title, (left + width - right) / 2, 14, width - left - right);
    pen.fillText(panel.xlabel, (left + width - right) / 2, height - 6, width - left - right);
    pen.save();
    pen.translate(12, (top + height - bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(panel.ylabel, 0, 0, height - top - bottom);
    pen.restore();
    pen.lineWidth = 0.8;
    pen.beginPath();
    pen.moveTo(left, top);
    pen.lineTo(left, height - bottom);
    pen.lineTo(width - right, height - bottom);
    for (const [at, text] of panel.xticks) {
      pen.moveTo(x(at), height - bottom);
      pen.lineTo(x(at), height - bottom + 4);
      pen.fillText(text, x(at), height - bottom + 16);
    }
    pen.textAlign = "right";
    for (const [at, text] of panel.yticks) {
      pen.moveTo(left - 4, y(at));
      pen.lineTo(left, y(at));
      pen.fillText(text, left - 7, y(at) + 4);
    }
    pen.stroke();
    for (const layer of panel.layers) {
      const ys = layer.frames[Math.min(frame, layer.frames.length - 1)];
      const xs = layer.xs ? layer.xs[frame] : layer.x;
      if (layer.kind === "line") {
        pen.strokeStyle = layer.color;
        pen.lineWidth = 2;
        pen.setLineDash(layer.dashed ? [2, 3] : []);
        pen.beginPath();
        ys.forEach((value, i) => (i ? pen.lineTo(x(xs[i]), y(value)) : pen.moveTo(x(xs[i]), y(value))));
        pen.stroke();
      } else {
        pen.globalAlpha = 0.6;
        ys.forEach((value, i) => {
          pen.fillStyle = layer.below && value < layer.zero ? layer.below : layer.color;
          pen.beginPath();
          pen.arc(x(xs[i]), y(value), 2.6, 0, 2 * Math.PI);
          pen.fill();
        });
        pen.globalAlpha = 1;
      }
    }
  }

  function show() {
    const frame = Number(slider.value);
    canvases.forEach((canvas, k) => draw(canvas, film.panels[k], frame));
    output.textContent = "t = " + film.times[frame];
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶";
  }
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "❚❚";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) stop();
    }, 80);
    show();
  });
  slider.addEventListener("input", () => { stop(); show(); });
  window.addEventListener("resize", show);
  show();
}
</script>"""
