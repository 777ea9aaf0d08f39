"""SIGINT and SIGTERM as the end of a flow, let in only where they do no harm."""

import signal
import threading

from numba.core.compiler_lock import global_compiler_lock

from particleflow.observers import Stop

_PATIENCE = 0.02  # s


def _signal_main_thread(number):
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)
    else:
        signal.raise_signal(number)


class Interruption:
    """Turns SIGINT and SIGTERM into the end of the flow: at once inside a step, else after what is being done."""

    _signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.stop = None
        self._inside = False
        self._reminder = None

    def __enter__(self):
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder.join()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def allowed(self):
        """Return a context inside which a signal raises KeyboardInterrupt at once."""
        return self._Allowed(self)

    class _Allowed:
        def __init__(self, owner):
            self.owner = owner

        def __enter__(self):
            self.owner._inside = True

        def __exit__(self, *_):
            self.owner._inside = False

    def _handle(self, number, _frame):
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self.stop = Stop("interrupted", f"stopped by {name}; everything up to the last complete step is kept")
        if self._inside and global_compiler_lock.is_locked():
            # an exception would leave the compiler half-way: the signal comes again until it is done
            self._reminder = threading.Timer(_PATIENCE, _signal_main_thread, (number,))
            self._reminder.start()
        elif self._inside:
            self._inside = False  # a second signal finds us storing
            raise KeyboardInterrupt
