"""What ``particleflow show`` says of a trajectory."""

import math

import numpy as np

from particleflow import wording
from particleflow.integrators.tableaus import EULER, TABLEAUS
from particleflow.methods import RTOL
from particleflow.wording import number


def summarize(trajectory):
    """Return the facts of a `Trajectory` as a dict of plain values; a number that is not finite becomes None."""
    config, observables, checkpoint = trajectory.config, trajectory.observables, trajectory.checkpoint
    flow, energy = config["flow"], observables["energy"]
    data = trajectory.data
    summary = {
        "file": str(trajectory.path),
        "status": trajectory.status,
        "message": trajectory.message,
        "particles": trajectory.m,
        "model": config["model"],
        "loss": config["energy"],
        "data": None if data is None else {"origin": data.origin, "n": data.n, "d": data.d, "n_test": data.n_test},
        "method": flow["method"],
        "tolerance": flow.get("rtol", RTOL) if TABLEAUS.get(flow["method"], EULER).adaptive else None,
        "step": flow.get("step"),
        "flow_time": float(trajectory.time[-1]),
        "t_end": trajectory.t_end,
        "steps": checkpoint["steps"],
        "rejected_steps": checkpoint["rejected"],
        "velocity_evaluations": checkpoint["evaluations"],
        "frames": len(trajectory),
        "seconds": trajectory.seconds,
        "energy_initial": energy[0],
        "observables": {name: values[-1] for name, values in observables.items() if name != "time"},
        "fingerprint": trajectory.fingerprint,
        "created": trajectory.created,
        "versions": trajectory.versions,
    }
    if "balance" in observables:
        worst = np.abs(observables["balance"]).max()
        summary["energy_balance_error"] = worst
        summary["energy_balance_relative"] = worst / abs(energy[0]) if energy[0] else None
    for name in ("learning_rate", "batch_size", "temperature", "monotone", "birth"):
        if name in flow:
            summary[name] = flow[name]
    if flow["method"] == "euler" and "metric" not in config["energy"]:
        # a gradient step of size η on L advances the flow by 2η/m
        summary["learning_rate"] = flow["step"] * trajectory.m / 2
    return plain(summary)


def to_text(summary):
    """Return a summary as text for people."""
    last = summary["observables"]
    rows = [
        ("file", summary["file"]),
        ("status", f"{summary['status']}: {summary['message']}"),
        ("model", wording.model(summary["model"], summary["particles"])),
        ("energy", wording.energy(summary["loss"])),
    ]
    if summary["data"]:
        data = summary["data"]
        rows.append(("data", f"{data['origin']}: {data['n']} rows, {data['d']} features, {data['n_test']} test rows"))
    rows += [
        ("method", _method(summary)),
        ("flow time", f"{summary['flow_time']:g} of {summary['t_end']:g}"),
        (
            "steps",
            f"{summary['steps']} ({summary['rejected_steps']} rejected, "
            f"{summary['velocity_evaluations']} velocity evaluations)",
        ),
        ("frames", summary["frames"]),
    ]
    if summary["seconds"] is not None:
        rows.append(("wall time", f"{summary['seconds']:.3g} s"))
    rows.append(("energy L", f"{number(summary['energy_initial'])} → {number(last['energy'])}"))
    if "energy_balance_error" in summary:
        balance = f"{number(summary['energy_balance_error'])}, the largest |L(t) + 2∫∫|∇G|² − L(0)|"
        if summary["energy_balance_relative"] is not None:
            balance += f" ({number(summary['energy_balance_relative'])} of L(0))"
        rows.append(("energy balance", balance))
    for name, value in last.items():
        if name not in ("energy", "balance"):
            rows.append((f"  {name.replace('_', ' ')}", number(value)))
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:{width}}  {value}" for label, value in rows)


def _method(summary):
    text = summary["method"]
    if summary["tolerance"] is not None:
        text += f", rtol {summary['tolerance']:g}"
    if summary["step"] is not None:
        text += f", step {summary['step']:g}"
    if summary["method"] == "euler" and "learning_rate" in summary:
        text += f" (gradient descent with learning rate {summary['learning_rate']:g})"
    elif "learning_rate" in summary:
        text += f", learning rate {summary['learning_rate']:g}"
    if "batch_size" in summary:
        text += f", batches of {summary['batch_size']}"
    if isinstance(temperature := summary.get("temperature"), dict):
        text += ", temperature " + " ".join(f"{key} {value}" for key, value in temperature.items())
    elif temperature is not None:
        text += f", temperature {temperature:g}"
    if birth := summary.get("birth"):
        text += f", every {birth['every']:g} up to {birth.get('particles', 1)} births"
    return text + (", the energy never rises" if summary.get("monotone") else "")


def plain(value):
    """Return nested dicts and lists with plain values, numbers that are not finite as None: ready for JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
