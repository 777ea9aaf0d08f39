"""Workers on this machine: processes that carry out one run after another, and may die without harm to the others.

Each is a new interpreter (``python -m particleflow.local_workers``) that stays for the whole sweep, so that imports and
kernels are loaded once. It reads tasks and writes rows as lines of JSON. When its input ends, because this process has
ended in whatever way, it is gone at once: trajectories survive that. Nothing heavy is imported here, so that workers
are on their way before the sweep is read.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

from particleflow.errors import InvalidInput

ATTEMPTS = 3
"""How often a run is begun whose worker dies."""
_WORKER_BYTES = 3 * 2**28  # of a process with everything loaded
_PATIENCE = 30.0  # s for a flow to store where it was interrupted
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class LocalWorkers:
    """Processes that carry out runs; a context manager that ends them.

    Parameters
    ----------
    count : int, optional
        How many; by default one for each core that this process may use, fewer where the memory is small.

    Raises
    ------
    InvalidInput
        If the count is no number of processes.
    """

    def __init__(self, count=None):
        if count is not None and not (isinstance(count, int) and count > 0):
            raise InvalidInput(f"workers = {count!r}: valid are integers from 1")
        self._free = available_memory()
        self.count = count or int(max(1, min(usable_cores(), self._free // _WORKER_BYTES)))
        self._free -= (self.count - 1) * _WORKER_BYTES
        self._lock, self._closed = threading.Condition(), False
        self._waiting, self._attempts, self._held, self._rows = deque(), {}, {}, queue.SimpleQueue()
        self._threads = []
        self._processes = {number: _start() for number in range(self.count)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def check(self, path):
        """Do nothing: what is there for this process is there for its workers."""

    def rows(self, tasks):
        """Carry out tasks and yield (number, row) as they end.

        Parameters
        ----------
        tasks : dict of int → dict
            What `particleflow.sweep_runs.carry_out` takes, by number, and "size", about how many bytes it needs. They
            are begun in this order; one that does not fit into the memory beside the others waits.
        """
        self._waiting = deque(tasks.items())
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._processes
        ]
        for thread in self._threads:
            thread.start()
        for _ in tasks:
            number, row = self._rows.get()
            if number is None:
                raise row
            yield number, row

    def close(self):
        """End the workers; flows that are under way are stored where they are."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._lock.notify_all()
            processes = list(self._processes.values())
        for process in processes:
            with suppress(OSError):
                process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for thread in self._threads:
            thread.join()
        for process in processes:
            with suppress(OSError):  # a task that was never read
                process.stdin.close()
            process.stdout.close()

    # --- one thread for each worker -----------------------------------------------------------------------------------

    def _serve(self, worker):
        """Hand tasks to one worker until none is left; put another in its place when it dies."""
        try:
            self._serve_all(worker)
        except Exception as error:  # for the thread that waits for rows
            self._rows.put((None, error))

    def _serve_all(self, worker):
        while (taken := self._take(worker)) is not None:
            number, task = taken
            row = self._carry_out(worker, task)
            with self._lock:
                del self._held[worker]
                self._lock.notify_all()
                lost = row is None or row["status"] == "interrupted"  # by a signal that was not ours
                if lost and not self._closed:
                    self._attempts[number] = self._attempts.get(number, 0) + 1
                    if self._attempts[number] < ATTEMPTS:
                        self._waiting.append((number, task))
                        self._lock.notify_all()
                        continue
            if not self._closed or row is not None:
                self._rows.put((number, row or self._death(worker)))

    def _take(self, worker):
        """Return the next task, once there is memory for it; None when all are done."""
        with self._lock:
            while not self._closed:
                busy = sum(self._held.values())
                if self._waiting and (not self._held or busy + self._waiting[0][1]["size"] <= self._free):
                    number, task = self._waiting.popleft()
                    self._held[worker] = task["size"]
                    return number, task
                if not self._waiting and not self._held:
                    return None
                self._lock.wait()  # what another worker holds may come back
        return None

    def _carry_out(self, worker, task):
        """Return the row of a task, or None if the worker died over it."""
        with self._lock:
            if self._closed:
                return None
            if self._processes[worker].poll() is not None:
                self._processes[worker] = _start()
            process = self._processes[worker]
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            row = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            process.kill()
            row = None
        if row is None or row["status"] == "interrupted":  # it has ended, or is about to
            process.wait()
        return row

    def _death(self, worker):
        from particleflow.sweep_runs import failure

        code = self._processes[worker].returncode
        by = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        hint = " (perhaps it needs more memory than there is)" if code == -9 else ""
        return failure(f"its process ended {by}, {ATTEMPTS} times{hint}")


def usable_cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory():
    """Return the bytes that new processes can take: of the machine, and of the control group if it has a limit."""
    found = []
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError, KeyError):
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(limit - used + int(facts["inactive_file"]))  # which gives way
    return max(0, min(found)) if found else float("inf")


def _start():
    """Start a worker, in a session of its own: Ctrl-C is for this process to pass on."""
    return subprocess.Popen(
        [sys.executable, "-m", "particleflow.local_workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={
            **os.environ,
            **_ONE_THREAD,
            "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
            "PYTHONSAFEPATH": "1",
        },
    )


# --- the worker -------------------------------------------------------------------------------------------------------


def main():
    """Be a worker: carry out the tasks that come in, and end when no more can come."""
    out, tasks = os.fdopen(os.dup(1), "w"), queue.SimpleQueue()
    os.dup2(2, 1)  # whatever else prints does not disturb the rows

    def listen():
        for line in sys.stdin:
            tasks.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    from particleflow.sweep_runs import carry_out

    status = None
    while status != "interrupted":
        row = carry_out(json.loads(tasks.get()))
        out.write(json.dumps(row) + "\n")
        out.flush()
        status = row["status"]
    os._exit(0)


if __name__ == "__main__":
    main()
