"""What a sweep costs and what it survives, against the bare runs.

    python -m validation.many_runs [--rounds 5]

60 runs of the example with one feature in this process, and the same by a sweep with two processes: wall and processor
time. A sweep of 1000 runs that take no time: when the first of them has begun, and the memory of the sweep. A sweep
that is killed, workers and all, at random moments and begun again until it is done: whether it ends with the bits of
one that never was.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import particleflow as pf

TABLE = Path(__file__).resolve().parent.parent / "data" / "treasury_bill.csv"
NETWORK = f"""\
[data]
file = "{TABLE}"
target = "rate"
bias = true
standardize = true
test_fraction = 0.25
[energy]
strength = 1e-3
"""
LONG = f"""{NETWORK}[flow]\nt_end = 200.0
[sweep]\n"model.particles" = [25, 50, 100, 200, 400, 800]\nseed = {{ range = 10 }}
"""
TINY = f"""{NETWORK}[flow]\nt_end = 1e-3\nframes = 1
[sweep]\n"model.particles" = [5, 10]\nseed = {{ range = 500 }}
"""
NOISY = """\
[model]\nkind = "particles"
[energy]\nkernel = "quadratic"\nparameters = { attraction = 1.0, confinement = 0.5 }
[flow]\nmethod = "langevin"\nt_end = 1.0\nstep = 5e-4\ntemperature = 0.5\nframes = 40
[sweep]\n"model.particles" = [3, 5, 25]\nseed = { range = 4 }
"""
CLOCKS = ("seconds", "created", "file")


def started(text, folder):
    """Write a sweep and start it in a process of its own, with the results in `folder`."""
    path = folder.with_suffix(".toml")
    path.write_text(text)
    command = [sys.executable, "-m", "particleflow.cli", "sweep", str(path), "-o", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processor_time():
    """Return the processor time of this process and of those that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def cost(folder):
    """Return (wall, processor) seconds of the bare runs, and of the sweep."""
    pf.run_sweep(pf.read_sweep(TINY.replace("500", "1")), folder / "compiled")
    runs = pf.read_sweep(LONG).runs
    runs[0].config.run()
    times = []
    for carry_out in (
        lambda: [run.config.run(folder / run.file_name) for run in runs],
        lambda: started(LONG, folder / "long").wait(),
    ):
        wall, processor = time.perf_counter(), processor_time()
        carry_out()
        times.append((time.perf_counter() - wall, processor_time() - processor))
    return times


def start(folder):
    """Return the seconds until the first of 1000 runs has begun, and the most memory of the sweep then, in MiB."""
    begin, sweep = time.perf_counter(), started(TINY, folder / "tiny")
    while not any((folder / "tiny").glob("runs/*.h5")):
        time.sleep(0.002)
    seconds = time.perf_counter() - begin
    lines = Path(f"/proc/{sweep.pid}/status").read_text().splitlines()
    sweep.kill()
    sweep.wait()
    return seconds, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def outcomes(folder):
    """Return all that must not depend on what happened on the way."""
    return [{key: value for key, value in row.items() if key not in CLOCKS} for row in pf.Sweep(folder).to_dict()]


def survives(folder, rng):
    """Kill a sweep and its workers until it is done; return its outcomes and how many of both were killed."""
    sweeps, workers = 0, 0
    while True:
        sweep, end = started(NOISY, folder), time.monotonic() + rng.uniform(1, 5)
        while sweep.poll() is None and time.monotonic() < end:
            time.sleep(rng.uniform(0.2, 1))
            listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(sweep.pid)], capture_output=True, check=False)
            if (found := listed.stdout.split()) and rng.random() < 0.4:
                with suppress(ProcessLookupError):
                    os.kill(int(rng.choice(found)), signal.SIGKILL)
                    workers += 1
        if sweep.poll() is None:
            sweep.kill()
            sweeps += 1
        if sweep.wait() == 0:
            return outcomes(folder), sweeps, workers


def main(rounds):
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (wall, processor), (swept, used) = cost(folder)
        print(f"60 runs: bare {wall:.1f} s ({processor:.1f} s of processor time), swept {swept:.1f} s ({used:.1f} s)")
        print(f"speed-up {wall / swept:.2f}, processor time {100 * (used / processor - 1):+.1f} %", flush=True)
        seconds, memory = start(folder)
        print(f"1000 runs: the first began after {seconds:.2f} s, the sweep took {memory:.0f} MiB", flush=True)
        started(NOISY, folder / "whole").wait()
        whole, rng = outcomes(folder / "whole"), random.Random(0)
        for k in range(rounds):
            found, sweeps, workers = survives(folder / f"killed{k}", rng)
            same = "identical" if found == whole else "DIFFERENT"
            print(f"killed {sweeps} times, and {workers} workers: {same}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="sweeps that are killed (default: 5)")
    main(parser.parse_args().rounds)
