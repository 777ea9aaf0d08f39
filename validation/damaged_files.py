"""What becomes of damaged files: bytes flipped, overwritten or cut off, by chance, and then read.

    python -m validation.damaged_files [--files 2000] [--seed 7]

Each file is given to a command in a process of its own, with 5 s of processor time and 1 GiB of address space beyond
what the program takes anyway. A command may succeed, or refuse the file with exit code 2 and one sentence; it may not
crash, hang, print a traceback or say what is not true: of a file of the present version, all that is read must be what
was written. The table counts what happened; the exit code is 1 if anything happened that must not.
"""

import argparse
import contextlib
import io
import multiprocessing
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

import particleflow as pf

GOLDEN = Path(__file__).parent.parent / "data" / "trajectories"
SECONDS, PATIENCE, MEMORY = 5, 30.0, 2**30  # of processor time, on the clock of a busy machine; bytes
ALLOWED = ("read", "refused")
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


def command_line(arguments):
    """Run the program ``particleflow`` in this process; return its exit code."""
    (program,) = entry_points(group="console_scripts", name="particleflow")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    own, sys.argv = sys.argv, ["particleflow", *arguments]
    try:
        program.load()()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = own
        for number, handler in handlers.items():
            signal.signal(number, handler)


def show(path, _):
    """Summarise it."""
    return command_line(["show", str(path)])


def show_json(path, _):
    """Summarise it as JSON."""
    return command_line(["show", str(path), "--json"])


def certify(path, _):
    """Certify its last frame."""
    return command_line(["certify", str(path)])


def resume_time(path, _):
    """Go on to a later time."""
    return command_line(["resume", str(path), "--t-end", "5"])


def resume_steps(path, _):
    """Go on for more steps."""
    return command_line(["resume", str(path), "--steps", "50"])


def export(path, _):
    """Export it."""
    return command_line(["export", str(path), "-o", str(path.with_suffix(".npz")), "--overwrite"])


def repaired(path, _):
    """Repair it."""
    return command_line(["repair", str(path), "-o", str(path.with_suffix(".repaired")), "--overwrite"])


def read(path, truth):
    """Read everything; what is read must be true."""
    with pf.open(path) as run:
        found = contents(run)
    return _WRONG if truth is not None and not _agree(found, truth) else 0


COMMANDS = (show, show_json, certify, resume_time, resume_steps, export, repaired, read, read)


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
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=_limited, args=(work, sender))
    child.start()
    sender.close()
    child.join(PATIENCE)
    code = child.exitcode
    child.kill()
    child.join()
    with contextlib.closing(receiver), contextlib.suppress(EOFError):
        return _verdict(code, receiver.recv())
    return _verdict(code, "")


def _verdict(code, printed):
    if code in (None, -signal.SIGXCPU):
        return "hangs", printed
    if code == _WRONG:
        return "untrue", printed
    if "MemoryError" in printed or "not enough memory" in printed:
        return "memory", printed
    if "Traceback" in printed or code not in (0, 2):
        return "crash", printed or f"exit code {code}"
    if code == 2:
        sentences = [line for line in printed.splitlines() if not line.startswith("particleflow: note")]
        return "refused" if len(sentences) == 1 else "several sentences", printed
    return "read", printed


def _limited(work, sender):
    """Do the work under limits, send what it prints as errors, and exit with its code."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.RLIM_INFINITY))
    errors, code = io.StringIO(), _CRASHED
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            code = work()
        except pf.ParticleflowError as error:
            print(error, file=errors)
            code = 2
        except BaseException as error:
            print(f"Traceback: {type(error).__name__}: {error}", file=errors)
    sender.send(errors.getvalue()[:4000])
    sys.exit(code)


def examine(files, seed, folder, *, commands=COMMANDS, out=None):
    """Damage so many files and read them; print what must not happen. Return the counts by kind of file and outcome."""
    chance, counts, folder = random.Random(seed), {}, Path(folder)
    own, old = dict(_own_files(folder, commands)), dict(_old_files(folder, commands))
    path, turns = folder / "damaged.h5", [*own, None]
    for k in range(files):
        name = turns[k % len(turns)] or list(old)[k // len(turns) % len(old)]
        content, journal, truth = own[name] if name in own else old[name]
        command = chance.choice(commands)
        if name in old and command.__name__.startswith("resume"):
            command = read  # values without checksums may make a flow that takes as long as it likes
        path.write_bytes(content if journal else mutate(content, chance))
        if journal:
            path.with_name(f"{path.name}.journal").write_bytes(mutate(journal, chance))
        what, printed = outcome(partial(command, path, truth))
        counts.setdefault(name, Counter())[what] += 1
        if what not in ALLOWED:
            print(f"file {k} ({name}), {command.__name__}: {what}: {printed.strip()[-300:]}", file=out or sys.stdout)
        for left in folder.glob("damaged*"):
            left.unlink()
    return counts


def _own_files(folder, commands):
    """Yield (name, (bytes, journal or None, what a reader must find or None)) of files of this version."""
    for name, text in RUNS.items():
        path, config = folder / f"{name}.h5", pf.read_config(text)
        config.run(path)
        _compile_for(path, commands)
        kept = _run_keeping_journals(config, path)
        with pf.open(path) as run:
            yield name, (path.read_bytes(), None, contents(run))
    yield "journal", (*kept[-2], None)


def _old_files(folder, commands):
    """Yield the same of files of earlier versions, whose values carry no checksums."""
    for path in sorted(GOLDEN.glob("version-[12]-*.h5")):
        copy = Path(shutil.copy(path, folder / path.name))
        _compile_for(copy, commands)
        yield path.stem, (path.read_bytes(), None, None)


def _run_keeping_journals(config, path):
    """Run; return the bytes of the file before each commit, and those of its journal."""
    kept, original = [], Path.write_bytes

    def write_bytes(self, data):
        if self.suffix == ".journal":
            kept.append((path.read_bytes(), data))
        return original(self, data)

    Path.write_bytes = write_bytes
    try:
        config.run(path, overwrite=True)
    finally:
        Path.write_bytes = original
    return kept


def _compile_for(path, commands):
    """Run all commands once, so that no watchdog bites while they are compiled."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in commands:
            command(path, None)


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
    return int(any(row.keys() - set(ALLOWED) for row in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
