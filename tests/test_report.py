"""The page about stored flows: whole, alone, harmless, small; and alive in a browser."""

import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from chromium import BROWSER, DRIVER, chromium

import particleflow as pf
from particleflow.bibliography import _METHODS, _OBSERVED, _THEORY, bibtex
from particleflow.cli import main
from particleflow.formulas import problem
from particleflow.methods import METHODS
from particleflow.player import MOST_FRAMES, player
from particleflow.report import _energy

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"$x'"
VOID = {"meta", "link", "input", "br", "img", "hr"}
MOST_BYTES = 5_000_000


class Page(HTMLParser):
    """What a page is made of; tags that do not match are an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.links, self.ids, self.text, self.data = [], [], [], [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action")]
        self.ids += [value for name, value in attributes if name == "id"]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script" and data.startswith("{"):
            self.data.append(json.loads(data))
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def network(folder):
    """Twelve relu neurons on a line, with names that would break a page."""
    x = np.linspace(1950, 2000, 16)[:, None]
    data = pf.dataset_from_arrays(
        x, np.sin(x[:, 0] / 9), bias=True, standardize=True, features=[HOSTILE], target=HOSTILE
    )
    energy, path = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.01), folder / "network.h5"
    pf.solve(energy, pf.sphere(12, 2, rng=0), 2.0, method="euler", step=0.1, frames=6, file=path)
    with h5py.File(path, "r+") as file:
        text = file["config"].asstr()[()] + f"\n[output]\nfile = {json.dumps(HOSTILE)}\n"
        del file["config"]
        file["config"] = text
    return path


@pytest.fixture(scope="module")
def points(folder):
    energy, path = pf.KernelEnergy(pf.quadratic_aggregation(0.7), 2), folder / "points.h5"
    pf.solve(energy, pf.gaussian(9, energy.layout, rng=0), 2.0, rtol=1e-8, frames=[0.5, 1.0, 2.0], file=path)
    return path


@pytest.fixture(scope="module")
def written(network, points, folder):
    """The page of one network, and that of the network twice beside points."""
    assert main(["report", str(network), "-o", str(folder / "one.html")]) == 0
    assert main(["report", str(network), str(network), str(points), "-o", str(folder / "many.html")]) == 0
    return {name: folder / f"{name}.html" for name in ("one", "many")}


@pytest.mark.parametrize("name", ["one", "many"])
def test_the_page_is_whole_and_stands_on_its_own(written, name):
    text = written[name].read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    links = [link for link in page.links if not link.startswith("data:")]
    assert all(link.startswith("#") and link[1:] in page.ids for link in links)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(", text)
    assert page.tags.count("img") == 0
    assert len(text.encode()) < MOST_BYTES


def test_hostile_names_stay_text(written):
    text = written["one"].read_text(encoding="utf-8")
    page = Page(text)
    assert HOSTILE not in text
    assert "alert(2)>" not in text
    assert escape(HOSTILE) in text
    assert HOSTILE in page.text
    assert page.data[0]["panels"][0]["xlabel"].startswith("</script><script>alert(1)")
    assert page.tags.count("script") == 2  # the data of the slider, and what moves it


def test_the_page_says_what_the_file_holds(written, network):
    page = Page(written["one"].read_text(encoding="utf-8"))
    with pf.open(network) as run:
        certificate = pf.certify_frame(run)
        assert f"at least {certificate.lower_bound:.10g} (proved)" in page.text
        energy = pf.EmpiricalEnergy(run.model, run.data, strength=0.01)
        assert all(row.evidence in page.text for row in pf.check_hypotheses(energy, run.particles(0)))
        assert all(version in page.text for version in run.versions.values())
        assert run.config_text in page.text.replace("\r", "")
        assert f"{pf.curve_length(run).length:.6g}" in page.text
    for words in ("σ(z) = max(z,0)", "λ = 0.01", "hairer1993", "chizat2018", "mei2018", "lazarus2022", "bach2017"):
        assert words in page.text
    assert "dormand1980" not in page.text
    assert "kingma2015" not in page.text


def test_the_slider_holds_the_frames(written, network):
    film = Page(written["one"].read_text(encoding="utf-8")).data[0]
    function, particles = film["panels"]
    with pf.open(network) as run:
        assert film["times"] == [f"{t:.4g}" for t in run.time]
        w = run.particles(2)["w"]
    angles = np.degrees(np.arctan2(w[:, 1], w[:, 0]))
    ticks = {label: position for position, label in particles["xticks"]}
    zero, right = ticks["0"], ticks["90"]
    np.testing.assert_allclose(
        (np.array(particles["layers"][0]["xs"][2]) - zero) / (right - zero) * 90, angles, atol=0.1
    )
    assert len(function["layers"][2]["frames"]) == len(particles["layers"][0]["frames"]) == len(film["times"])
    assert all(0 <= y <= 10_000 for frame in function["layers"][2]["frames"] for y in frame)


def test_pair_kernels_have_their_own_page(points, folder):
    with pf.open(points) as run:
        text = pf.write_report([run], folder / "points.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "K = ½κ‖x − y‖²" in page.text
    assert "No certificate: the duality gap is for two-layer networks" in page.text
    assert "Not checked: the hypotheses are about the energy of a network" in page.text
    assert "dormand1980" in page.text and "chizat2018" not in page.text
    (panel,) = page.data[0]["panels"]
    assert len(panel["layers"][0]["xs"]) == 4


def test_long_flows_of_many_particles_have_a_small_slider():
    """More frames and particles than can be shown, with masses over eight orders of magnitude."""
    cloud = pf.gaussian(3000, 2, rng=0)
    cloud = cloud.push_forward(lambda theta: theta * np.geomspace(1e-4, 1e4, 3000)[:, None])
    flow = SimpleNamespace(m=3000, layout=cloud.layout, data=None, particles=lambda frame: cloud, path=Path("run.h5"))
    flow.time = np.arange(500.0)
    length = type("Flow", (), {"__len__": lambda self: 500, "__getattr__": lambda self, name: getattr(flow, name)})
    html = player(length())
    film = Page(f"<main>{html}</main>").data[0]
    assert (len(film["times"]), film["times"][0], film["times"][-1]) == (MOST_FRAMES, "0", "499")
    assert len(html) < 1_000_000
    ticks = film["panels"][0]["yticks"]
    gaps = np.diff([position for position, _ in ticks])
    assert len(ticks) >= 3
    assert (gaps > 500).all()  # labels do not touch


@pytest.mark.parametrize(
    ("file", "words"),
    [("page.txt", "end in .html"), ("no/page.html", "does not exist"), (300 * "t" + "/a.html", "does not exist")],
)
def test_pages_that_cannot_be_written(points, folder, file, words, capsys):
    assert main(["report", str(points), "-o", str(folder / file)]) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(pf.InvalidInput, match="at least one"):
        pf.write_report([], folder / "none.html")


def test_every_method_has_a_source():
    assert set(_METHODS) == set(METHODS)
    keys = [*_THEORY, *sum(_METHODS.values(), ()), *sum(_OBSERVED.values(), ()), "bach2017", "ambrosio2008"]
    text = bibtex(keys)
    assert text.count("@") == len(set(keys))
    for entry in text.split("\n\n"):
        assert entry.count("{") == entry.count("}")
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = \{", entry, re.MULTILINE))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {
                "model": {"kind": "three-layer", "activation": "tanh", "s": 2},
                "energy": {"loss": "logistic", "regularizer": "path-norm", "strength": 0.1},
                "flow": {"method": "langevin", "temperature": 0.3},
            },
            ["log(1+<i>e</i><sup>−", "‖<i>W</i><sub><i>k</i></sub>‖", "<i>T</i> = 0.3", "Δμ"],
        ),
        (
            {"model": {"kind": "hard-synchronized", "activation": "relu"}, "flow": {"method": "euler"}},
            ["(1/<i>m</i>) Σ<sub><i>i</i></sub> φ<sub><i>i</i></sub>", "−(<i>m</i>/2) ∂<i>L</i>/∂θ"],
        ),
        ({"model": {"kind": "two-layer", "activation": "erf"}, "flow": {"method": "adam"}}, ["Adam steps", "√2"]),
        ({"flow": {"method": "langevin", "temperature": {"initial": 1.0, "law": "<"}}}, ["initial 1, law &lt;"]),
        ({"energy": {"kernel": "pair", "field": "<f>", "interaction": "k"}, "flow": {}}, ["F = &lt;f&gt;, K = k"]),
    ],
)
def test_problems_in_formulas(config, words):
    text = str(problem(SimpleNamespace(config=config, m=3, data=None)))
    assert all(word in text for word in words), text


@pytest.mark.skipif(not (DRIVER and BROWSER), reason="needs chromium and chromedriver")
def test_the_page_lives_in_a_browser(written, tmp_path):
    with chromium(tmp_path / "profile") as browser:
        for width in (1280, 390):
            browser.width(width)
            for path in written.values():
                browser.open(path)
                assert browser.run("return document.documentElement.scrollWidth") <= width
        pictures = "return [...document.querySelectorAll('.player canvas')].map((canvas) => canvas.toDataURL())"
        before = browser.run(pictures)
        assert len(before) == 5
        browser.run(
            "for (const slider of document.querySelectorAll('.player input')) {"
            " slider.value = 0; slider.dispatchEvent(new Event('input')); }"
        )
        assert all(one != other for one, other in zip(before, browser.run(pictures), strict=True))
        assert browser.run("return document.querySelector('.player output').textContent") == "t = 0"
        assert browser.errors() == []


def test_the_energy_of_a_run_with_a_penalty_on_data_from_a_file(tmp_path):
    (tmp_path / "data.csv").write_text("x,y\n0,1\n1,-1\n2,1\n3,-1\n")
    text = '[data]\nfile = "data.csv"\ntarget = "y"\n[model]\nkind = "three-layer"\nparticles = 3\ns = 2\n'
    text += "[energy.synchronization]\nstrength = 0.1\n[flow]\nt_end = 1e-3\nframes = 1\n"
    result = pf.read_config(text, folder=tmp_path).run(tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        energy = _energy(trajectory)
    parts = energy.make_velocity(3)(result.measure.particles, np.empty_like(result.measure.particles))
    assert parts["synchronization"] == result.observables["synchronization"][-1] > 0
