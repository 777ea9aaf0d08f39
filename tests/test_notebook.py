"""Trajectories in notebooks: the table is what was measured, the card is harmless whatever the file holds."""

import builtins
import re
import shutil
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest
import tomli_w
from chromium import BROWSER, DRIVER, chromium

import particleflow as pf

HOSTILE = "</span></svg><script>alert(1)</script><img src=x onerror=alert(2)> & \"$x'\x1b\u202e"
TAGS = {"div", "b", "span", "svg", "path", "polyline", "text"}


class Card(HTMLParser):
    """The tags and the text of a card; tags that do not match are an error."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []
        assert set(self.tags) <= TAGS

    def handle_starttag(self, tag, attributes):
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attributes)
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook") / "run.h5"
    x = np.linspace(-1, 1, 12)[:, None]
    data = pf.dataset_from_arrays(x, np.abs(x[:, 0]), bias=True)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.05)
    pf.solve(energy, pf.sphere(8, 2, rng=0), 3.0, frames=20, observers=[pf.CertifiedGap()], file=path)
    return path


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copy(run, tmp_path / "copy.h5")


def points(html):
    path = re.search(r'polyline points="([^"]*)"', html).group(1)
    return np.array([[float(number) for number in pair.split(",")] for pair in path.split()])


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_holds_every_observable_at_its_time(run):
    with h5py.File(run) as file:
        stored = {name: series[...] for name, series in file["observables"].items()}
    with pf.open(run) as trajectory:
        table = trajectory.to_pandas()
        assert table.index.name == "time"
        assert set(table) == set(stored) - {"time"}
        for name in table:
            np.testing.assert_array_equal(table[name], stored[name])
        np.testing.assert_array_equal(table.index, stored["time"])
        assert "time" in trajectory.observables  # the table is a copy of the dict
        assert table["energy"].loc[2.0:].iloc[-1] == trajectory.observables["energy"][-1]


def test_without_pandas_the_error_says_what_to_install(run, monkeypatch):
    given = builtins.__import__

    def without(name, *arguments):
        if name == "pandas":
            raise ImportError(name)
        return given(name, *arguments)

    with pf.open(run) as trajectory:
        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(pf.MissingPackage, match=r'pip install "particleflow\[pandas\]"'):
            trajectory.to_pandas()


# --- the card ---------------------------------------------------------------------------------------------------------


def test_the_card_says_what_ran_and_how_it_ended(run):
    with pf.open(run) as trajectory:
        html = trajectory._repr_html_()
        energy, gap, count = trajectory.observables["energy"], trajectory.observables["gap"], len(trajectory)
    text = Card(html).text
    for part in (
        "run.h5",
        "finished",
        "two-layer, relu, 8 particles",
        "0.05 × path-norm",
        "dopri5",
        f"{count} of 8",
        "t = 0 … 3",
    ):
        assert part in text
    assert f"{energy[0]:.6g} → {energy[-1]:.6g}" in text
    assert f"at most {gap[-1]:.6g} above" in text
    assert len(html) < 8000


def test_the_plot_shows_the_energy(run):
    with pf.open(run) as trajectory:
        x, y = points(trajectory._repr_html_()).T
        t, energy = trajectory.time[1:], trajectory.observables["energy"][1:]  # logarithmic: from the first step on
    place = np.log(t / t[0]) / np.log(t[-1] / t[0])
    np.testing.assert_allclose(x / x[-1], place, atol=1e-3)
    np.testing.assert_allclose(1 - y / y.max(), (energy - energy[-1]) / np.ptp(energy), atol=2e-3)


def change(path, **given):
    """Give a file other texts: attributes, and the configuration."""
    with h5py.File(path, "r+") as file:
        if "config" in given:
            del file["config"]
            file["config"] = given.pop("config")
        for name, value in given.items():
            file.attrs[name] = value


def test_texts_of_the_file_stay_text(copy):
    model, energy, flow = {"kind": HOSTILE, "activation": HOSTILE}, {"kernel": HOSTILE}, {"method": HOSTILE}
    config = tomli_w.dumps({"model": model, "energy": energy, "flow": flow})
    change(copy, status=HOSTILE, message=HOSTILE * 500, config=config)
    with pf.open(copy) as trajectory:
        html = trajectory._repr_html_()
    card = Card(html)
    assert "<script>alert(1)" in card.text
    assert not {"\x1b", "\u202e"} & set(html)
    assert len(html) < 12_000


@pytest.mark.parametrize(
    "config",
    [
        "",
        "model = 3\nenergy = [1]\nflow = 'x'\n",
        "[model]\nkind = [1, 2]\n[energy]\nloss = 1\nstrength = 'x'\n[flow]\nmethod = {}\n",
        "[energy]\nkernel = 'riesz'\nparameters = { a = [[1]], b = 'x' }\n",
    ],
)
def test_strange_configurations_raise_nothing(copy, config):
    change(copy, config=config)
    with pf.open(copy) as trajectory:
        assert "copy.h5" in Card(trajectory._repr_html_()).text


@pytest.mark.parametrize(
    "energy",
    [
        None,
        np.full(20, np.nan),
        np.full(20, 1.0),
        np.linspace(1, -1, 20),
        np.geomspace(1e300, 1e-300, 20),
        np.where(np.arange(20) % 3, 1.0, np.inf),
        np.array([b"x"] * 20),
        np.array([1e308, -1e308] * 10),
        np.zeros(0),
    ],
    ids=["missing", "nan", "constant", "negative", "huge range", "holes", "text", "overflow", "empty"],
)
def test_strange_energies_raise_nothing(copy, energy):
    with h5py.File(copy, "r+") as file:
        del file["observables/energy"]
        if energy is not None:
            file["observables/energy"] = energy
    with pf.open(copy) as trajectory:
        html = trajectory._repr_html_()
    assert "copy.h5" in Card(html).text
    if "polyline" in html:
        assert np.isfinite(points(html)).all()


def test_a_file_that_is_gone_raises_nothing(copy):
    trajectory = pf.open(copy)
    trajectory.close()
    copy.unlink()
    assert "8 particles" in Card(trajectory._repr_html_()).text


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and its driver")
def test_the_card_in_a_browser(run, copy, tmp_path):
    change(copy, message=HOSTILE)
    head = '<!DOCTYPE html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    page = head + '<body style="background:#111;color:#ddd;margin:8px">{}</body>'
    with pf.open(run) as trajectory, pf.open(copy) as hostile:
        cards = trajectory._repr_html_() + hostile._repr_html_()
    (tmp_path / "card.html").write_text(page.format(cards), encoding="utf-8")
    with chromium(tmp_path / "profile") as browser:
        browser.width(390)
        browser.open(tmp_path / "card.html")
        assert browser.run("return document.scripts.length") == 0
        assert browser.run("return document.documentElement.scrollWidth") <= 390
        assert browser.run("return getComputedStyle(document.querySelector('polyline')).stroke") == "rgb(221, 221, 221)"
        assert browser.errors() == []
