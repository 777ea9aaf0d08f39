"""Movies of a trajectory: the fitted function over its data, beside the particles in the plane."""

import shutil
import subprocess
import tempfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from particleflow.errors import InvalidInput
from particleflow.plot_style import scale_masses, styled, time_label, write_whole
from particleflow.plotting import Fit, NotApplicable, draw_particles, require_plane, signed_masses

_MOST_FRAMES = 120
_PANEL, _DPI = (4.5, 4.0), 100  # 450 × 400 pixels
_LARGER = {"font.size": 12, "axes.titlesize": 12, "legend.fontsize": 10, "xtick.labelsize": 10, "ytick.labelsize": 10}
_COLORS = 64  # in the palette of a GIF


@styled
def animate(trajectory, path, *, fps=12):
    """Write a movie of the stored frames: the fitted function (one input feature) and the particles (w in R²).

    Frames follow each other as they were stored, log-spaced in flow time by default; of more than 120, 120 are shown.
    The last one stays for a second.

    Parameters
    ----------
    trajectory : Trajectory
        A stored flow.
    path : str or Path
        The file to write, ``.gif`` or ``.mp4`` (which needs ffmpeg); replaced if it exists.
    fps : int
        Frames per second, 1 to 50.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the trajectory has neither one input feature nor w in R², or the movie cannot be written.
    """
    path = Path(path)
    encode = _encoder(path)
    if fps not in range(1, 51):
        raise InvalidInput(f"fps = {fps!r}: valid are integers from 1 to 50")
    frames = np.unique(np.linspace(0, len(trajectory) - 1, _MOST_FRAMES).round().astype(int))
    panels = []
    for panel in (_FitPanel, _PlanePanel):
        with suppress(NotApplicable):
            panels.append(panel(trajectory, frames))
    if not panels:
        raise InvalidInput(
            f"{trajectory.path.name!r} cannot be animated: it has neither one input feature nor two-layer particles "
            "with w in R² (d = 2, a bias counts)"
        )
    try:
        return write_whole(path, encode(_images(trajectory, frames, panels), int(fps)))
    except OSError as error:
        raise InvalidInput(f"the movie {str(path)!r} cannot be written: {error.strerror}") from None


class _FitPanel:
    """The fitted function over the data, in the user's units; dotted, where it began."""

    def __init__(self, trajectory, frames):
        self.fit = Fit(trajectory)
        self.curves = [self.fit.curve(trajectory.particles(frame)) for frame in frames]

    def draw(self, axes):
        self.fit.draw_data(axes)
        axes.plot(self.fit.x, self.curves[0], ":", color="#56B4E9")
        (self.line,) = axes.plot(self.fit.x, self.curves[0], color="black", lw=2)
        axes.update_datalim([(self.fit.x[0], limit(self.curves)) for limit in (np.min, np.max)])
        axes.autoscale_view()
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)

    def show(self, k, measure):
        self.line.set_ydata(self.curves[k])


class _PlanePanel:
    """The particles: direction of w against signed mass."""

    def __init__(self, trajectory, frames):
        require_plane(trajectory)
        masses = [np.hstack(signed_masses(trajectory.particles(frame)))[1] for frame in frames]
        self.masses = np.concatenate(masses)
        self.start = trajectory.particles(frames[0])

    def draw(self, axes):
        self.lines = draw_particles(axes, self.start)
        axes.update_datalim([(0, limit(self.masses)) for limit in (np.min, np.max)])
        scale_masses(axes, self.masses)
        axes.autoscale_view(scalex=False)

    def show(self, k, measure):
        for line, points in zip(self.lines, signed_masses(measure), strict=True):
            line.set_data(points)


def _images(trajectory, frames, panels):
    """Return the pictures of the frames; the artists are made once and moved."""
    with rc_context(_LARGER):
        figure = Figure(figsize=(len(panels) * _PANEL[0], _PANEL[1]), dpi=_DPI)
        canvas = FigureCanvasAgg(figure)
        title = figure.suptitle(time_label(0.0), size=12)
        for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
            panel.draw(axes)
        canvas.draw()
        figure.set_layout_engine("none")  # from here on only the artists move
        images = []
        for k, frame in enumerate(frames):
            measure = trajectory.particles(frame)
            for panel in panels:
                panel.show(k, measure)
            title.set_text(time_label(trajectory.time[frame]))
            canvas.draw()
            images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    return images


# --- encoding ---------------------------------------------------------------------------------------------------------


def _encoder(path):
    if path.suffix not in (".gif", ".mp4"):
        raise InvalidInput(f"the movie {path.name!r} has an unknown suffix; valid: .gif, .mp4")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise InvalidInput(f"{path.name!r} needs ffmpeg, which is not on the PATH; install it or use .gif")
    return _gif if path.suffix == ".gif" else _mp4


def _gif(images, fps):
    # One palette for all frames: what stands still keeps its colour, and the file is small.
    palette = images[-1].quantize(_COLORS, method=Image.Quantize.MAXCOVERAGE)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [round(1000 / fps)] * (len(images) - 1) + [1000]
    movie = BytesIO()
    images[0].save(movie, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return movie.getvalue()


def _mp4(images, fps):
    width, height = images[0].size
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    target = ["-pix_fmt", "yuv420p", "-f", "mp4", "-movflags", "+faststart", "-y"]
    with tempfile.TemporaryDirectory() as directory:  # the format needs a file to go back in
        movie = Path(directory) / "movie.mp4"
        frames = b"".join(image.tobytes() for image in images + images[-1:] * (fps - 1))
        command = ["ffmpeg", "-loglevel", "error", *source, *target, str(movie)]
        done = subprocess.run(command, input=frames, capture_output=True)
        if done.returncode:
            raise InvalidInput(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}; .gif does not need it")
        return movie.read_bytes()
