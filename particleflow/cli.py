"""The command line: ``particleflow COMMAND``; ``particleflow --help`` lists the commands.

Exit codes: 0 the flow ended as planned, or every claim has the verdict that is expected; 2 the input cannot be used; 3
the flow diverged; 4 its step size fell to the resolution of the time; 130 interrupted; 1 another verdict, or anything
unforeseen. Rooms are imported when a command needs them, so that ``--help`` answers at once.
"""

import argparse
import signal
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import particleflow
from particleflow.cli_sweeps import add_commands
from particleflow.errors import ParticleflowError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_CODES = {"diverged": 3, "step_too_small": 4, "interrupted": 130}


def program():
    """Be the program ``particleflow``: run the command line and exit."""
    code = main()
    for number in _SIGNALS:
        _on_signal(number, signal.SIG_IGN)  # the exit code stands
    sys.exit(code)


def main(arguments=None):
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_, **__: print(f"particleflow: note: {message}", file=sys.stderr)
    with suppress(AttributeError):  # not every stand-in for a terminal can
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _signals():
            code = options.command(options)
            sys.stdout.flush()
            return code
    except ParticleflowError as error:
        return _refuse(error)
    except MemoryError as error:
        return _refuse(f"not enough memory: {error}")
    except KeyboardInterrupt:
        print("particleflow: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, for example `| head`
        sys.stderr.close()
        return 1
    except Exception as error:
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        print(
            f"particleflow: internal error, please report it: {type(error).__name__}: {error} ({place})",
            file=sys.stderr,
        )
        return 1


def _refuse(reason):
    print(f"particleflow: error: {' '.join(str(reason).split())}", file=sys.stderr)
    return 2


@contextmanager
def _signals():
    """Let SIGTERM end a command like Ctrl-C, and put the handlers back afterwards."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _on_signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            _on_signal(number, handler)


def _on_signal(number, handler):
    with suppress(ValueError):  # only the main thread may
        signal.signal(number, handler)


def _parser():
    parser = argparse.ArgumentParser(
        prog="particleflow",
        description="Mean-field training dynamics of wide neural networks, simulated as interacting particles.",
    )
    parser.add_argument("--version", action="version", version=f"particleflow {particleflow.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the flow of a configuration", description="Run the flow of a TOML file.")
    run.add_argument("config", metavar="CONFIG", help="configuration (TOML)")
    run.add_argument("-o", "--output", metavar="FILE", help="trajectory to write (default: output.file of CONFIG)")
    _add_changes(run)
    run.add_argument("--overwrite", action="store_true", help="replace an existing trajectory")
    run.set_defaults(command=_run)

    resume = commands.add_parser(
        "resume",
        help="go on with a run that was interrupted, or further than it was to go",
        description="Go on with a run, bit for bit as if it had never stopped.",
    )
    resume.add_argument("file", metavar="FILE", help="trajectory (HDF5); the new frames are appended to it")
    resume.add_argument("--t-end", type=float, metavar="T", help="go on to this flow time")
    resume.add_argument("--steps", type=int, metavar="N", help="the same for sgd and adam: the number of all steps")
    resume.set_defaults(command=_resume)

    repair = commands.add_parser(
        "repair",
        help="save what can be read of a damaged trajectory",
        description="Save all frames that can be read of a damaged file in a new one. Killed runs need no repair.",
    )
    repair.add_argument("file", metavar="FILE", help="damaged trajectory (HDF5), which is not changed")
    repair.add_argument(
        "-o", "--output", metavar="FILE", help="file to write (default: FILE with -repaired in its name)"
    )
    repair.add_argument("--overwrite", action="store_true", help="replace an existing trajectory")
    repair.set_defaults(command=_repair)

    show = commands.add_parser("show", help="summarise a trajectory", description="Summarise a trajectory.")
    show.add_argument("file", metavar="FILE", help="trajectory (HDF5)")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(command=_show)

    watch = commands.add_parser(
        "watch", help="look on while a run is under way", description="Show how a run stands until it ends."
    )
    watch.add_argument("file", metavar="FILE", help="trajectory (HDF5) that another process is writing")
    watch.set_defaults(command=_watch)

    plot = commands.add_parser("plot", help="draw the figures of a trajectory", description="Draw all figures.")
    plot.add_argument("file", metavar="FILE", help="trajectory (HDF5)")
    plot.add_argument("-o", "--output", metavar="DIR", help="folder for the figures (default: beside FILE)")
    plot.add_argument("--format", choices=("png", "pdf", "svg"), default="png", help="default: png")
    plot.add_argument("--animate", choices=("gif", "mp4"), help="also make an animation (mp4 needs ffmpeg)")
    plot.set_defaults(command=_plot)

    export = commands.add_parser(
        "export", help="convert a trajectory to npz or csv", description="Convert a trajectory for other programs."
    )
    export.add_argument("file", metavar="FILE", help="trajectory (HDF5)")
    export.add_argument("-o", "--output", metavar="FILE", required=True, help=".npz: everything; .csv: the observables")
    export.add_argument("--frame", type=int, metavar="K", help="the particles of frame K instead (-1: the last)")
    export.add_argument("--overwrite", action="store_true", help="replace an existing file")
    export.set_defaults(command=_export)

    certify = commands.add_parser(
        "certify", help="bound how far a run is from the global minimum", description="Bound L − min L for a frame."
    )
    certify.add_argument("file", metavar="FILE", help="trajectory (HDF5)")
    certify.add_argument("--frame", type=int, metavar="K", default=-1, help="frame to certify (default: -1, the last)")
    certify.add_argument("--polish", action="store_true", help="go on from the frame to the global minimum (d = 1, 2)")
    certify.add_argument("-o", "--output", metavar="FILE.npz", help="with --polish: write the particles")
    certify.add_argument("--overwrite", action="store_true", help="replace an existing file")
    certify.add_argument("--json", action="store_true", help="print JSON")
    certify.set_defaults(command=_certify)

    compare = commands.add_parser(
        "compare",
        help="compare two runs at their ends",
        description="W2 between the last clouds, the difference of the functions, energies, times and configurations.",
    )
    compare.add_argument("files", metavar="FILE", nargs=2, help="two trajectories (HDF5)")
    compare.add_argument(
        "--particles", type=int, metavar="N", help="take W2 between N particles of each, where all are too many"
    )
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(command=_compare)

    report = commands.add_parser(
        "report",
        help="write one web page about one or several runs, or a sweep",
        description="Write a page that stands on its own: problem, slider, figures, evidence, configuration, BibTeX.",
    )
    report.add_argument("files", metavar="FILE", nargs="+", help="trajectories (HDF5), or the folder of one sweep")
    report.add_argument("-o", "--output", metavar="FILE.html", required=True, help="the page to write")
    report.set_defaults(command=_report)

    optimum = commands.add_parser(
        "optimum",
        help="compute the global minimum of a configuration, without any flow",
        description="Compute the global minimum of a two-layer relu network with the path norm, for d = 1 or 2.",
    )
    optimum.add_argument("config", metavar="CONFIG", help="configuration (TOML)")
    _add_changes(optimum)
    optimum.add_argument("--json", action="store_true", help="print JSON")
    optimum.set_defaults(command=_optimum)

    hypotheses = commands.add_parser(
        "hypotheses",
        help="check what the convergence theorem asks of a configuration",
        description="Check the hypotheses of the theorem of Chizat and Bach (2018) for energy and initial particles.",
    )
    hypotheses.add_argument("config", metavar="CONFIG", help="configuration (TOML)")
    _add_changes(hypotheses)
    hypotheses.add_argument("--json", action="store_true", help="print JSON")
    hypotheses.set_defaults(command=_hypotheses)

    add_commands(commands)

    validate = commands.add_parser(
        "validate", help="check the claims about the mathematics", description="Examine the claims of the ledger."
    )
    validate.add_argument("names", metavar="NAME", nargs="*", help="claims to examine (default: all, minutes)")
    validate.add_argument("--json", action="store_true", help="print JSON")
    validate.add_argument("--report", metavar="FILE.html", help="also write a page with the figures")
    validate.set_defaults(command=_validate)
    return parser


def _add_changes(parser):
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="replace a value, for example energy.strength=1e-2; may be repeated",
    )


def _run(options):
    from particleflow.config import load_config
    from particleflow.errors import InvalidInput

    config = load_config(options.config, options.changes)
    file = options.output
    if file is None and config.output.file is not None:
        file = config.folder / config.output.file
    if not file:
        raise InvalidInput("output.file is missing: name it in the configuration, or use -o FILE")
    return _summarized(config.run(file, overwrite=options.overwrite, progress=True), file)


def _resume(options):
    from particleflow.config import resume

    result = resume(options.file, t_end=options.t_end, steps=options.steps, progress=True)
    return _summarized(result, options.file)


def _summarized(result, file):
    """Print the summary of a run that has ended; return the exit code."""
    for number in _SIGNALS:
        _on_signal(number, signal.SIG_IGN)  # all is stored: another Ctrl-C shall not spoil the summary
    from particleflow.summary import summarize, to_text
    from particleflow.trajectory import Trajectory

    with Trajectory(file) as trajectory:
        print(to_text(summarize(trajectory)))
    return EXIT_CODES.get(result.status, 0)


def _show(options):
    from particleflow.summary import summarize, to_text
    from particleflow.trajectory import Trajectory

    with Trajectory(options.file) as trajectory:
        summary = summarize(trajectory)
    if options.json:
        import json

        print(json.dumps(summary, indent=2, allow_nan=False))
    else:
        print(to_text(summary))
    return 0


def _repair(options):
    from particleflow.repairing import repair

    print(repair(options.file, options.output, overwrite=options.overwrite).to_text())
    return 0


def _watch(options):
    from particleflow.watching import watch

    return EXIT_CODES.get(watch(options.file), 0)


def _plot(options):
    from particleflow.plotting import save_figures
    from particleflow.trajectory import Trajectory

    folder = Path(options.output) if options.output else Path(options.file).parent
    with Trajectory(options.file) as trajectory:
        for path in save_figures(trajectory, folder, formats=(options.format,)):
            print(path)
        if options.animate:
            from particleflow.animation import animate

            print(animate(trajectory, folder / f"{Path(options.file).stem}.{options.animate}"))
    return 0


def _export(options):
    from particleflow.export import export_trajectory
    from particleflow.trajectory import Trajectory

    with Trajectory(options.file) as trajectory:
        print(export_trajectory(trajectory, options.output, frame=options.frame, overwrite=options.overwrite))
    return 0


def _certify(options):
    from particleflow.certificate import certify_frame
    from particleflow.errors import InvalidInput
    from particleflow.polishing import polish_frame
    from particleflow.trajectory import Trajectory

    if options.output and not options.polish:
        raise InvalidInput(f"-o {options.output} goes with --polish: a certificate is printed, no file is written")
    with Trajectory(options.file) as trajectory:
        found = (polish_frame if options.polish else certify_frame)(trajectory, options.frame)
    if options.output:
        from particleflow.export import export_measure

        export_measure(found.measure, options.output, overwrite=options.overwrite)
    if options.json:
        import json

        print(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        print(found.to_text())
    return 0


def _compare(options):
    from particleflow.comparison import compare, to_text
    from particleflow.trajectory import Trajectory

    with Trajectory(options.files[0]) as trajectory, Trajectory(options.files[1]) as other:
        result = compare(trajectory, other, particles=options.particles)
    if options.json:
        import json

        print(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(to_text(result))
    return 0


def _report(options):
    if len(options.files) == 1 and Path(options.files[0]).is_dir():
        from particleflow.sweep_page import write_sweep_report
        from particleflow.sweep_summary import Sweep

        print(write_sweep_report(Sweep(options.files[0]), options.output))
        return 0
    from contextlib import ExitStack

    from particleflow.report import write_report
    from particleflow.trajectory import Trajectory

    with ExitStack() as stack:
        trajectories = [stack.enter_context(Trajectory(file)) for file in options.files]
        print(write_report(trajectories, options.output))
    return 0


def _optimum(options):
    from particleflow.config import load_config
    from particleflow.errors import InvalidInput
    from particleflow.reference.conditional_gradient import TOLERANCE, global_minimum

    config = load_config(options.config, options.changes)
    for key, value, valid in (
        ("model.kind", config.model.kind, "two-layer"),
        ("model.activation", config.model.activation, "relu"),
        ("energy.kernel", config.energy.kernel, "empirical"),
        ("energy.regularizer", config.energy.regularizer, "path-norm"),
    ):
        if value != valid:
            raise InvalidInput(f'{key} = "{value}": the global minimum is computed for "{valid}" only')
    energy = config.build_energy()
    optimum = global_minimum(energy.data, loss=energy.loss, strength=energy.strength)
    if options.json:
        import json

        print(json.dumps(optimum.to_dict(), indent=2, allow_nan=False))
    else:
        print(optimum)
    return 0 if optimum.relative_gap <= TOLERANCE else 1


def _hypotheses(options):
    from particleflow.config import load_config
    from particleflow.hypotheses import check_hypotheses

    table = check_hypotheses(*load_config(options.config, options.changes).build())
    if options.json:
        import json

        print(json.dumps(table.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(table)
    return 0


def _validate(options):
    return _ledger().run(options.names, as_json=options.json, report=options.report)


def _ledger(repository=None):
    """Return the module validation.ledger of the repository that this package lies in, wherever the user stands."""
    from importlib import import_module

    from particleflow.errors import InvalidInput

    repository = repository or Path(__file__).resolve().parent.parent
    folder = repository / "validation"
    if not ((folder / "ledger.py").is_file() and (repository / "pyproject.toml").is_file()):
        raise InvalidInput(
            f"{repository} holds no claims: they live in the repository of particleflow, not in the installed package; "
            "in a clone of it run `python -m validation`"
        )
    sys.path.insert(0, str(repository))  # its modules, also in the processes that it starts, come from nowhere else
    return import_module("validation.ledger")


if __name__ == "__main__":
    program()
