"""Trajectories that earlier versions wrote are still read, and say what they said."""

from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main

FILES = sorted((Path(__file__).parent.parent / "data" / "trajectories").glob("version-*.h5"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_earlier_version_is_read(path, capsys):
    """The energies that were stored are those of the stored particles on the stored data."""
    with pf.open(path) as trajectory:
        assert f"version-{trajectory.format_version}" in path.name
        assert trajectory.status == "finished"
        np.testing.assert_allclose(trajectory.time, [0, 1e-4, 1e-2, 1], rtol=1e-12)
        energy = pf.EmpiricalEnergy(trajectory.model, trajectory.data, strength=trajectory.config["energy"]["strength"])
        assert trajectory.layout == energy.layout
        values = [energy.value(trajectory.particles(k).particles) for k in range(len(trajectory))]
        np.testing.assert_allclose(trajectory.observables["energy"], values, rtol=1e-12)
        assert trajectory.checkpoint["steps"] > 0
        assert pf.read_config(trajectory.config_text).model.particles == trajectory.m == 6
    assert main(["show", str(path), "--json"]) == 0
    assert '"flow_time": 1.0' in capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_earlier_version_goes_on_where_it_holds_a_checkpoint(path, tmp_path, capsys):
    copy = tmp_path / "run.h5"
    copy.write_bytes(path.read_bytes())
    code = main(["resume", str(copy), "--t-end", "1.5"])
    if "version-1" in path.name:
        assert code == 2
        assert "no checkpoint" in capsys.readouterr().err
        return
    assert code == 0
    with pf.open(copy) as trajectory, pf.open(path) as before:
        assert trajectory.time[-1] == 1.5
        assert abs(trajectory.observables["balance"]).max() < 1e-6
        np.testing.assert_array_equal(trajectory.time[:4], before.time)
