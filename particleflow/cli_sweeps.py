"""The commands ``particleflow sweep`` and ``particleflow summarize``."""

import sys


def add_commands(commands):
    """Add the commands to those of the command line."""
    sweep = commands.add_parser(
        "sweep",
        help="run a configuration for many values of its keys",
        description="Carry out the runs of a sweep; if it was begun before, those that are missing or have failed.",
    )
    sweep.add_argument("config", metavar="SWEEP", help="configuration with a table [sweep] (TOML)")
    sweep.add_argument("-o", "--output", metavar="DIR", help="folder of the sweep (default: SWEEP without .toml)")
    where = sweep.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, for example tcp://host:8786")
    sweep.set_defaults(command=_sweep)

    summary = commands.add_parser(
        "summarize",
        help="summarise a sweep: limits over seeds, fitted power laws",
        description="Show how a sweep stands, its values against the swept keys, and the power laws they follow.",
    )
    summary.add_argument("folder", metavar="DIR", help="folder of the sweep")
    summary.add_argument("--json", action="store_true", help="print JSON")
    summary.add_argument("-o", "--output", metavar="DIR", help="also draw the figures there")
    summary.add_argument("--format", choices=("png", "pdf", "svg"), default="png", help="of the figures (default: png)")
    summary.set_defaults(command=_summarize)


def _sweep(options):
    from particleflow.sweep import run_sweep

    places = {"workers": options.workers, "scheduler": options.scheduler}
    try:
        sweep = run_sweep(options.config, options.output, **places, progress=True)
    except KeyboardInterrupt:
        print("particleflow: interrupted; the same command goes on", file=sys.stderr)
        return 130
    print(f"{sweep.folder}: {sweep.counted()}")
    for reason in sweep.troubles():
        print(reason)
    return 0 if sweep.done.all() else 1


def _summarize(options):
    from particleflow.sweep_figures import save_sweep_figures
    from particleflow.sweep_summary import Sweep
    from particleflow.sweep_text import summarize, to_text

    sweep = Sweep(options.folder)
    summary = summarize(sweep)
    if options.json:
        import json

        print(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(to_text(summary))
    if options.output:
        paths = save_sweep_figures(sweep, options.output, format=options.format)
        if not options.json:
            print(*paths, sep="\n")
    return 0
