"""What becomes of damaged files: bytes flipped, overwritten or cut off, by chance, and then read.

    python -m validation.damaged_files [--files 2000] [--seed 7]

Each file is given to a command in a process of its own, with a watchdog of 5 s and 1 GiB of address space beyond what
the program takes anyway. A command may succeed, or refuse the file with exit code 2 and one sentence; it may not crash,
hang, print a traceback or say what is not true: of a file of the present version, all that is read must be what was
written. The table counts what happened; the exit code is 1 if anything happened that must not.
"""

import argparse
import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

import particleflow as pf
from particleflow.cli import main as command_line

GOLDEN = Path(__file__).parent.parent / "data" / "trajectories"
SECONDS, MEMORY = 5.0, 2**30
_CRASHED, _WRONG, _LIMIT = 1, 97, 20  # exit codes; bytes are changed in so many places at most


MOMENTS = """
[data]
source = "teacher"
n = 12
d = 2
[energy]
strength = 1e-2
[model]
particles = 6
[flow]
method = "adam"
learning_rate = 1e-3
steps = 40
frames = 8
"""
CONTACTS = """
[data]
source = "teacher"
n = 8
d = 1
bias = true
[energy]
strength = 1e-2
[model]
particles = 6
[flow]
t_end = 4.0
frames = 4
"""
RUNS = {"moments": MOMENTS, "contacts": CONTACTS}
"""Small runs with all that a file may hold; named by what is in their checkpoints."""


def mutate(content, chance):
    """Return the bytes with some damage, which the random numbers choose."""
    content, size = bytearray(content), len(content)
    kind = chance.choice(("flip", "flip", "bytes", "random", "zeros", "ones", "cut", "twice"))
    if kind == "cut":
        return bytes(content[: chance.randrange(size)])
    if kind in ("flip", "bytes"):
        for _ in range(chance.randint(1, _LIMIT)):
            at = chance.randrange(size)
            content[at] = content[at] ^ 1 << chance.randrange(8) if kind == "flip" else chance.randrange(256)
        return bytes(content)
    length = min(size, 2 ** chance.randint(0, 14))
    at = chance.randrange(size - length + 1)
    other = chance.randrange(size - length + 1)
    content[at : at + length] = {
        "random": chance.randbytes(length),
        "zeros": bytes(length),
        "ones": b"\xff" * length,
        "twice": content[other : other + length],
    }[kind]
    return bytes(content)


def _show(path, _):
    return command_line(["show", str(path)])


def _show_json(path, _):
    return command_line(["show", str(path), "--json"])


def _certify(path, _):
    return command_line(["certify", str(path)])


def _resume_time(path, _):
    return command_line(["resume", str(path), "--t-end", "5"])


def _resume_steps(path, _):
    return command_line(["resume", str(path), "--steps", "50"])


def _export(path, _):
    return command_line(["export", str(path), "-o", str(path.with_suffix(".npz")), "--overwrite"])


def _repair(path, _):
    return command_line(["repair", str(path), "-o", str(path.with_suffix(".repaired")), "--overwrite"])


def _read(path, truth):
    """Read everything; what is read must be true."""
    with pf.open(path) as run:
        found = contents(run)
    return _WRONG if truth is not None and not _agree(found, truth) else 0


COMMANDS = (_show, _show_json, _certify, _resume_time, _resume_steps, _export, _repair, _read, _read)


def contents(run):
    """Return all that a trajectory holds, by name."""
    memory = {f"checkpoint {name}": value for name, value in run.checkpoint.items() if value is not None}
    data = (
        {name: getattr(run.data, name) for name in ("X", "y", "x_mean", "x_scale", "features", "target")}
        if run.data
        else {}
    )
    frames = {f"frame {k}": run.particles(k).particles for k in range(len(run))}
    texts = {"status": run.status, "message": run.message, "config": run.config_text, "created": run.created}
    return {"time": run.time, "t_end": run.t_end, **frames, **memory, **data, **texts, **run.observables}


def _agree(found, truth):
    return found.keys() == truth.keys() and all(np.array_equal(found[name], truth[name]) for name in truth)


def outcome(work):
    """Return what became of a call in a process of its own, in a word, and what it printed as an error."""
    reading, writing = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_child(work, reading, writing)
    os.close(writing)
    code = None
    while code is None and time.monotonic() - begin < SECONDS:
        done, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        time.sleep(0.001)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        printed = pipe.read().decode(errors="replace")
    if code is None:
        return "hangs", printed
    if code == _WRONG:
        return "untrue", printed
    if "MemoryError" in printed or "not enough memory" in printed:
        return "memory", printed
    if "Traceback" in printed or code < 0 or code not in (0, 2):
        return "crash", printed or str(code)
    if code == 2:
        sentences = [line for line in printed.splitlines() if not line.startswith("particleflow: note")]
        return "refused" if len(sentences) == 1 else "several sentences", printed
    return "read", printed


def _be_child(work, reading, writing):
    """Do the work and leave, whatever happens."""
    code = _CRASHED
    try:
        os.close(reading)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
        errors = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            try:
                code = work()
            except pf.ParticleflowError as error:
                print(error, file=errors)
                code = 2
            except BaseException as error:
                print(f"Traceback: {type(error).__name__}: {error}", file=errors)
        os.write(writing, errors.getvalue().encode(errors="replace")[:4000])
    finally:
        os._exit(code)


def examine(files, seed, folder, *, commands=COMMANDS, out=sys.stdout):
    """Damage so many files and read them; print what must not happen. Return the counts by kind of file and outcome."""
    chance, counts = random.Random(seed), {}
    sources = dict(_sources(Path(folder)))
    names = list(sources)
    for k in range(files):
        name, command = names[k % len(names)], chance.choice(commands)
        content, journal, truth = sources[name]
        path = Path(folder) / "damaged.h5"
        path.write_bytes(content if journal else mutate(content, chance))
        if journal:
            path.with_name(f"{path.name}.journal").write_bytes(mutate(journal, chance))
        what, printed = outcome(partial(command, path, truth))
        counts.setdefault(name, Counter())[what] += 1
        if what not in ("read", "refused"):
            print(f"file {k} ({name}), {command.__name__[1:]}: {what}: {printed.strip()[-300:]}", file=out)
            if os.environ.get("KEEP_DAMAGED"):
                path.rename(Path(os.environ["KEEP_DAMAGED"]) / f"{seed}-{k}.h5")
        for left in Path(folder).glob("damaged*"):
            left.unlink()
    return counts


def _sources(folder):
    """Yield (name, (bytes, journal or None, what a reader must find or None)) of the files to damage."""
    for name, text in RUNS.items():
        path, config = folder / f"{name}.h5", pf.read_config(text)
        config.run(path)
        _compile_for(path)
        config.run(path, overwrite=True)
        with pf.open(path) as run:
            yield name, (path.read_bytes(), None, contents(run))
    content, journal = _interrupted_commit(path)
    yield "journal", (content, journal, None)
    for path in sorted(GOLDEN.glob("version-*.h5")):
        copy = Path(shutil.copy(path, folder / path.name))
        _compile_for(copy)
        yield path.stem, (path.read_bytes(), None, None)


def _compile_for(path):
    """Run all commands once, so that no watchdog bites while they are compiled."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in COMMANDS:
            command(path, None)


def _interrupted_commit(path):
    """Return a file and the journal of a commit that was not carried out."""
    from particleflow.journal import JournaledFile

    kept, before = [], path.read_bytes()
    original = Path.unlink
    disk = JournaledFile(path)
    disk.seek(len(before) // 2)
    disk.write(before[len(before) // 2 :][:5000])

    def unlink(self, **options):
        kept.append(self.read_bytes())
        original(self, **options)

    Path.unlink = unlink
    try:
        disk.commit()
    finally:
        Path.unlink = original
    disk.close()
    return before, kept[0]


def main():
    """Print the table; return 1 if anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = examine(options.files, options.seed, folder)
    for name, row in counts.items():
        print(f"{name:28}" + ", ".join(f"{number} {what}" for what, number in sorted(row.items())))
    return int(any(row.keys() - {"read", "refused"} for row in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
