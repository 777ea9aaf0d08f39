"""Workers of a Dask cluster: the tasks of `particleflow.local_workers`, handed to a scheduler.

The workers write into the folder of the sweep, which they share. The runs of a worker that dies are given to another
one, which goes on from what is stored. This is the only file that imports `distributed`.
"""

import uuid

import particleflow
from particleflow.errors import InvalidInput, MissingPackage
from particleflow.sweep_runs import carry_out, failure

_PATIENCE = 10  # s


class DaskWorkers:
    """The workers of a Dask scheduler; a context manager that takes leave of them.

    Parameters
    ----------
    address : str
        Of the scheduler, such as "tcp://host:8786".

    Raises
    ------
    MissingPackage
        If Dask is not installed.
    InvalidInput
        If there is no scheduler at that address, or it has no worker.
    """

    def __init__(self, address):
        try:
            from distributed import Client
        except ImportError:
            raise MissingPackage("a scheduler needs Dask: pip install 'particleflow[cluster]'") from None
        self._address, self._futures = f"scheduler = {address!r}", {}
        try:
            self._client = Client(address, timeout=_PATIENCE, set_as_default=False)
        except Exception as error:  # of any of the libraries below it
            raise InvalidInput(f"{self._address} cannot be reached: {_first_line(error)}") from None
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            self.close()
            raise InvalidInput(f"{self._address} has no workers") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def check(self, path):
        """Raise `InvalidInput` unless all workers see a file and have this particleflow."""
        try:
            found = self._client.run(_look, str(path.resolve()))
        except Exception as error:
            raise InvalidInput(f"the workers of {self._address} have no particleflow: {_first_line(error)}") from None
        for worker, (seen, version) in found.items():
            if version != particleflow.__version__:
                raise InvalidInput(
                    f"the worker {worker} of {self._address} has particleflow {version}; this is "
                    f"{particleflow.__version__}"
                )
            if not seen:
                raise InvalidInput(
                    f"the worker {worker} of {self._address} does not see {str(path.resolve())!r}: valid is a folder "
                    "that all workers share"
                )

    def rows(self, tasks):
        """Carry out tasks and yield (number, row) as they end; parameters as for `LocalWorkers.rows`.

        Raises
        ------
        InvalidInput
            If the scheduler has gone.
        """
        from distributed import as_completed

        sweep = uuid.uuid4().hex
        for number, task in tasks.items():
            future = self._client.submit(carry_out, task, key=f"particleflow-{sweep}-{number}", pure=False)
            self._futures[future] = number
        for future in as_completed(list(self._futures), loop=self._client.loop):
            if future.status == "finished":
                row = future.result()
            elif future.status == "error":
                row = failure(_first_line(future.exception()))
            else:
                raise InvalidInput(f"{self._address} has gone; the same command goes on with the sweep")
            yield self._futures.pop(future), row

    def close(self):
        """Withdraw what has not begun, and disconnect."""
        if self._futures and self._client.status == "running":
            self._client.cancel(list(self._futures))
        self._client.close(timeout=_PATIENCE)


def _look(path):
    """Return whether a worker sees a file, and its particleflow."""
    from pathlib import Path

    return Path(path).is_file(), particleflow.__version__


def _first_line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0]
