"""The `minae` command. Exit codes: 0 done, 1 a check or claim failed or training diverged, 2 bad input, 130 Ctrl-C."""

import argparse
import contextlib
import json
import math
import os
import platform
import re
import sys
import warnings
from pathlib import Path

import numpy as np

from minae import __version__, chapters, checks, data, files, options
from minae.backend import get_backend
from minae.errors import Diverged, InputError, meant
from minae.models import full_name, get_model, import_file, load, registry
from minae.training import LBFGS, OPTIMIZERS
from minae.world import World


def main(argv=None):
    """Run a command; returns its exit code. What it wrote has reached its reader, or there is a line that says so."""
    try:
        code = _main(argv)
    except SystemExit as stop:  # argparse: --help, --version, a wrong option
        code = stop.code or 0
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # what is left in the buffer would fail once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            return _stop(f"the output: {error.strerror or error}", 2)
    return code


def _main(argv):
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without σ shows ? instead of failing
    warnings.formatwarning = lambda message, *_, **__: f"minae: warning: {message}\n"
    argv = sys.argv[1:] if argv is None else [str(word) for word in argv]
    try:
        parser = _parser(argv)
        if argv in ([], ["help"]):
            parser.print_help()
            return 0
        args = parser.parse_args(argv)
        return args.run(args) or 0
    except InputError as error:
        return _stop(error, 2)
    except (Diverged, AssertionError) as error:
        return _stop(error, 1)
    except BrokenPipeError:  # `minae list | head`
        return 0
    except OSError as error:
        return _stop(f"{error.filename or 'a file'}: {error.strerror or error}", 2)
    except MemoryError as error:
        return _stop(f"out of memory ({error}): use a smaller batch or a memory-mapped .npy", 2)
    except KeyboardInterrupt as error:
        return _stop(str(error) or "interrupted", 130)


def _stop(message, code):
    print(_coloured("minae:", RED, sys.stderr), " ".join(str(message).split()), file=sys.stderr)
    return code


RED, GREEN = 31, 32


def _coloured(text, colour, stream=None):
    """The text in a colour, where a person watches the stream and has not set NO_COLOR."""
    stream = sys.stdout if stream is None else stream
    watched = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{colour}m{text}\033[0m" if watched else text


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """argparse prints its usage first; here an error is one line, with the word that may have been meant."""
        known = [option for action in self._actions for option in action.option_strings]
        known += [name for action in self._actions for name in action.choices or () if isinstance(name, str)]
        words = re.findall(r"invalid choice: '([^']*)'|unrecognized arguments: (\S+)", message)
        close = meant("".join(words[0]).partition("=")[0], known) if words else ""
        self.exit(2, f"minae: {' '.join(message.split())}{close} (see {self.prog} --help)\n")

    def parse_known_args(self, args=None, namespace=None):
        """A subcommand refuses what it does not know itself, since it knows the words that may have been meant."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown and self.prog != "minae":
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown


class _Version(argparse.Action):
    def __init__(self, option_strings, dest, help):
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser, *_):
        print(f"minae {__version__}, Python {platform.python_version()}\nbackends: numpy {np.__version__}, {_cupy()}")
        parser.exit()


def _cupy():
    try:
        return f"cupy {get_backend('cupy').xp.__version__}"
    except InputError as error:
        return f"and not cupy: {str(error).partition(': ')[0]}"


def _parser(argv):
    """The commands. The options of `train` are those of the model that the command line names, so it is read first."""
    _import_files(argv)
    parser = _Parser(prog="minae", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action=_Version, help="of minae, and the backends that answer here")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function, example, **options):
        name = function.__name__.strip("_")
        summary = function.__doc__ or name  # `python -OO` takes docstrings away
        sub = commands.add_parser(
            name,
            help=summary.splitlines()[0],
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )
        sub.set_defaults(run=function)
        return sub

    sub = command(_list, "minae list")
    _json(sub)

    sub = command(_run, "minae run 14.1 --quick")
    sub.add_argument(
        "section", metavar="SECTION", help="a section as `minae list` shows it, a chapter such as 14, or all"
    )
    chapters.options(sub)

    sub = command(_notebook, "minae notebook 14.1 -o undercomplete.ipynb")
    sub.add_argument("section", metavar="SECTION", help="a section as `minae list` shows it")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: the name of the script, .ipynb")

    sub = command(_results, "minae results out -o RESULTS.md")
    sub.add_argument("folder", type=Path, metavar="FOLDER", help="folder of runs: FOLDER/SECTION/results.json")
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the page, .md")
    sub.add_argument("--note", metavar="TEXT", help="for the head of the page, such as what the machine did meanwhile")

    sub = command(_book, "minae book --out site --runs out")
    sub.add_argument("--out", type=Path, metavar="FOLDER", help="the site; open its index.html")
    sub.add_argument("--runs", type=Path, metavar="FOLDER", help="folder of runs: FOLDER/SECTION/results.json")
    sub.add_argument(
        "--train", action="store_true", help="first train anew what the live parts keep, which comes with the package"
    )
    _json(sub)

    sub = command(_check, "minae check --json")
    sub.add_argument("models", metavar="MODEL", nargs="*", help="a model, layers or codes; default: all")
    sub.add_argument(
        "--verbose", action="store_true", help="every parameter and cost term, not only the worst of a case"
    )
    sub.add_argument("--exact", action="store_true", help="in numbers of 60 digits, to 1e-25; needs mpmath")
    sub.add_argument(
        "--effects", action="store_true", help="what differences cannot see: draws, epochs, frozen layers, resumes, …"
    )
    _import(sub)
    _backend(sub)
    _json(sub)

    sub = command(_derive, "minae derive contractive --latex")
    sub.add_argument("model", metavar="MODEL", help="a model without kinks")
    sub.add_argument("--case", metavar="NAME", help="one of the model's cases, as `minae check` names them")
    sub.add_argument("--rows", type=int, help="of the batch: 1 to 3 (default 1, or 2 where a cost couples the rows)")
    sub.add_argument("--latex", action="store_true", help="formulas as LaTeX")
    _import(sub)
    _json(sub)

    sub = command(_options, "minae options denoising")
    sub.add_argument("model", metavar="MODEL", nargs="?", help="a model; without it, all models")
    _import(sub)
    _json(sub)

    sub = command(_train, "minae train digits.npy --scale 255 --sizes 256 30 --epochs 10 -o model.safetensors")
    _data(sub)
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the trained model, .safetensors")
    sub.add_argument("--model", default="undercomplete", help="as `minae options` lists them (default undercomplete)")
    sub.add_argument("--continue", dest="onward", metavar="MODEL", help="train a finished model on, with its options")
    _model_options(sub, argv)
    sub.add_argument("--epochs", type=int, default=10)
    sub.add_argument("--batch-size", type=int, metavar="B", help="rows a step (default 128, or all where fewer)")
    sub.add_argument("--optimizer", default="adam", help="sgd, momentum, nesterov, adam (default), adamw or lbfgs")
    sub.add_argument("--lr", type=float, help="learning rate (default: the optimizer's)")
    sub.add_argument(
        "--validation", metavar="DATA", help="data for a validation cost after each epoch, or a share, 0.1"
    )
    sub.add_argument("--standardise", action="store_true", help="give each column mean 0 and deviation 1")
    sub.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without a better validation cost")
    sub.add_argument("--checkpoint", type=Path, help="default: FILE with .checkpoint before its suffix; gone when done")
    sub.add_argument("--every", type=int, default=1, metavar="K", help="epochs between checkpoints (default 1)")
    sub.add_argument("--resume", action="store_true", help="go on from the checkpoint of a run that was stopped")
    sub.add_argument("--dtype", default="float32", help="float32 (default) or float64")
    sub.add_argument(
        "--data-parallel", action="store_true",
        help="share the rows of each batch among the processes of `mpiexec -n N minae train …`",
    )  # fmt: skip
    _import(sub)
    _backend(sub)
    _json(sub)

    sub = command(_info, "minae info model.safetensors")
    sub.add_argument("model", metavar="FILE", help="a model or checkpoint that minae wrote")
    _import(sub)
    _json(sub)

    sub = command(_pretrained, "minae pretrained digits-2d -o digits.safetensors")
    sub.add_argument("name", metavar="NAME", nargs="?", help="a small model of the list; without it, the list")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="write its file here, .safetensors")
    sub.add_argument("--train", action="store_true", help="train it anew by its recipe: minutes, and all of MNIST")
    _json(sub)

    sub = command(_shrink, "minae shrink model.safetensors --bits 4 -o small.safetensors")
    sub.add_argument("model", type=Path, metavar="MODEL", help="a model that minae wrote")
    sub.add_argument("--bits", type=int, required=True, metavar="B", help="of each weight of a matrix, 2 to 8")
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the smaller model, .safetensors")
    _import(sub)
    _json(sub)

    sub = command(_export, "minae export model.safetensors -o encoder.onnx --part encoder")
    sub.add_argument("model", metavar="MODEL", help="a model or checkpoint that minae wrote")
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the graph, .onnx")
    sub.add_argument("--part", default="all", help="encoder (x -> h), decoder (h -> r) or all (default)")
    _import(sub)
    _json(sub)

    sub = command(_compress, "minae compress model.safetensors digits.npy -o digits.mnc")
    _apply(sub, "the compressed file, .mnc")
    _json(sub)

    sub = command(_decompress, "minae decompress model.safetensors digits.mnc -o r.npy")
    sub.add_argument("model", type=Path, metavar="MODEL", help="the model that compressed the file")
    sub.add_argument("file", type=Path, metavar="FILE", help="a file of `minae compress`")
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the rows, .npy or .csv")
    _import(sub)
    _backend(sub)

    sub = command(_encode, "minae encode model.safetensors digits.npy -o codes.npy")
    _apply(sub)

    sub = command(_score, "minae score model.safetensors digits.npy -o errors.csv --flag 0.95")
    _apply(sub)
    sub.add_argument(
        "--flag", type=float, metavar="SHARE", help="a second column: 1 above the L of this share of the training data"
    )
    _json(sub)

    sub = command(_reconstruct, "minae reconstruct model.safetensors sample -o r.npy --picture r.png")
    _apply(sub)
    sub.add_argument("--picture", type=Path, help="also draw the first rows and their reconstructions (square images)")

    sub = command(_sample, "minae sample model.safetensors -n 48 -o sheet.png")
    sub.add_argument("model", metavar="MODEL", help="a model or checkpoint that minae wrote, of a kind that draws")
    sub.add_argument("-n", "--count", type=int, default=16, metavar="N", help="how many (default 16)")
    sub.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    sub.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=".npy, .npz or .csv; .png, a sheet; .txt, or none, for texts"
    )
    _import(sub)
    _backend(sub)
    _json(sub)

    sub = command(_convert, "minae convert voices.safetensors words.wav voice.wav -o converted.wav")
    sub.add_argument("model", metavar="MODEL", help="a model of kind voice, that minae train wrote")
    sub.add_argument("source", type=Path, metavar="SOURCE", help="the .wav whose words are said")
    sub.add_argument("target", type=Path, metavar="TARGET", help="a .wav in the other voice, or a folder of them")
    sub.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the .wav to write")
    sub.add_argument(
        "--detail", action="store_true", help="add the difference of the voices to SOURCE: its detail stays"
    )
    _import(sub)
    _backend(sub)
    _json(sub)

    sub = command(_bench, "minae bench 784-500 contractive --rounds 3")
    sub.add_argument("workloads", metavar="WORKLOAD", nargs="*", help="names as the command prints them; default: all")
    sub.add_argument("--rounds", type=int, default=5, help="in each, every contestant takes its turns (default 5)")
    sub.add_argument("--seconds", type=float, default=1.5, help="of a contestant in a round (default 1.5)")
    sub.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes")
    sub.add_argument("--curves", action="store_true", help="also scaling over batch, width, depth and data size")
    sub.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write bench.json, bench.md, and curves.png of --curves"
    )
    _backend(sub)
    _json(sub)

    sub = command(_completion, "minae completion bash > ~/.local/share/bash-completion/completions/minae")
    sub.add_argument("shell", choices=["bash", "zsh", "tcsh"])

    sub = command(_doctor, "minae doctor")
    _json(sub)
    return parser


def _json(parser):
    parser.add_argument("--json", action="store_true", help="for a machine to read")


def _import(parser):
    parser.add_argument(
        "--import", action="append", default=[], dest="files", metavar="FILE", help="a Python file with further models"
    )


def _import_files(argv):
    """Run the files of `--import` before the options are read, since their models have options of their own."""
    for k, word in enumerate(argv):
        if word == "--import" and k + 1 < len(argv):
            import_file(argv[k + 1])
        elif word.startswith("--import="):
            import_file(word.partition("=")[2])


TRAIN_DEFAULTS = {"undercomplete": {"activation": "relu", "code": "identity"}}  # of `minae train` alone


def _model_options(parser, argv):
    """The declared options of the model that is asked for, as options of the command."""
    name = "undercomplete"
    for k, word in enumerate(argv):
        if word == "--model" and k + 1 < len(argv):
            name = argv[k + 1]
        elif word.startswith("--model="):
            name = word.partition("=")[2]
    if argv[:1] != ["train"]:
        return
    name = full_name(name)
    group = parser.add_argument_group(f"options of {name}")
    for key, option in options.of(get_model(name)).items():
        default = TRAIN_DEFAULTS.get(name, {}).get(key, option.default)
        words = f"{option.doc} ({option.expected()}; default {default})".replace("%", "%%")
        if isinstance(option, options.Sizes):
            group.add_argument(
                f"--{key}", type=int, nargs="+", metavar="M", help="widths from behind x to the code (default 256 30)"
            )
        elif isinstance(option, options.Widths):
            group.add_argument(f"--{key}", type=int, nargs="+", metavar="M", help=words)
        elif isinstance(option, options.Flag):
            group.add_argument(f"--{key}", action=argparse.BooleanOptionalAction, default=None, help=words)
        elif not isinstance(option, options.Settled):
            group.add_argument(f"--{key.replace('_', '-')}", dest=key, metavar=key.upper(), help=words)


def _backend(parser):
    parser.add_argument("--backend", help="numpy, cupy or auto (default: MINAE_BACKEND, else numpy)")


def _data(parser):
    parser.add_argument(
        "data",
        metavar="DATA",
        help="sample, mnist, a .npy, .npz, .mat, .csv or .tsv, an IDX file (.gz too), an image or a folder of images, "
        "a .wav or a folder of .wav, a folder of .npy, or a text (.txt), line by line, for a language model",
    )
    parser.add_argument(
        "--scale", type=float, help="divide the values, such as 255 for pixels in a .npy; a model's file remembers it"
    )
    parser.add_argument("--array", metavar="NAME", help="which array of a .npz or .mat")
    parser.add_argument(
        "--drop", metavar="COLUMN", nargs="+", default=[], help="columns to leave out, by name or number (from 1)"
    )


def _apply(parser, written=".npy or .csv"):
    parser.add_argument("model", metavar="MODEL", help="a model or checkpoint that minae wrote")
    _data(parser)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help=written)
    _import(parser)
    _backend(parser)


# ---- the commands: the first line of each docstring is its line in `minae --help`


def _list(args):
    """The sections of the book that have a script, and where each of its equations is computed."""
    sections = [{key: str(value) for key, value in section.items()} for section in chapters.sections()]
    equations = chapters.equations()
    if args.json:
        print(json.dumps({"sections": sections, "equations": equations}))
        return
    for section in sections:
        print(f"{section['number']:6} {section['title']}")
        print(f"       equations: {section['equations']};  figures: {section['figures']}")
        if section["data"]:
            print(f"       with --data: {section['data']}")
        print(f"       {section['path']}")
    print("\nequations of the book, and the docstrings that name them")
    for equation, places in equations.items():
        for k, (path, name) in enumerate(places):
            print(f"{'' if k else equation:6} {path} {name}".rstrip())


def _run(args):
    """Run sections: their figures as PNG, and results.json with every number that they assert."""
    several = chapters.several(args.section)
    if several is None:
        return _run_one(args, args.section, args.out)
    from tqdm.auto import tqdm

    failed = []
    with tqdm(several, unit=" sections", disable=None, leave=False) as bar:  # only where a person watches
        for number in bar:
            bar.set_description_str(number)
            try:
                _run_one(args, number, None if args.out is None else args.out / number)
            except (AssertionError, Diverged) as error:
                failed.append(number)
                _stop(error, 1)
    print(
        f"\n{len(several) - len(failed)} of {len(several)} sections hold" + ", and not " * bool(failed),
        ", ".join(failed),
    )
    return 1 if failed else 0


def _run_one(args, number, out):
    import runpy

    script = str(chapters.find(number)["path"])
    argv = [f"--{args.size}"] if args.size else []
    argv += ["--backend", args.backend] if args.backend else []
    argv += ["--data", args.data] if args.data else []
    argv += ["--seed", str(args.seed)] + (["--out", str(out)] if out else [])
    former, sys.argv = sys.argv, [script, *argv]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        sys.argv = former


def _notebook(args):
    """Write a section as a Jupyter notebook: its prose with formulas typeset, its code, and no results yet."""
    section = chapters.find(args.section)
    output = args.output or Path(section["path"].with_suffix(".ipynb").name)
    if output.suffix != ".ipynb":
        raise InputError(f"cannot write {str(output)!r}: its name must end in .ipynb")
    files.replace(output, (json.dumps(chapters.notebook(section["path"]), indent=1) + "\n").encode())
    print(f"saved {output}: open it in Jupyter, VS Code or Colab; MINAE_SIZE=quick makes it fast")


def _results(args):
    """Sum up the results.json of runs as one Markdown page, with their pictures and the published numbers."""
    if args.output.suffix != ".md":
        raise InputError(f"cannot write {str(args.output)!r}: its name must end in .md")
    runs = chapters.runs(args.folder)
    if not runs:
        raise InputError(f"no {args.folder}/SECTION/results.json: run sections first, with --out {args.folder}/SECTION")
    pictures = args.output.parent / "pictures"
    try:
        results = [result for _, result in runs.values()]
        page = chapters.summary(results, pictures.name, args.note)
        copied = {
            pictures / chapters.picture(result, figure): chapters.small((folder / figure["file"]).read_bytes())
            for folder, result in runs.values()
            for figure in result["figures"]
        }
    except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError) as error:
        raise InputError(f"a results.json under {args.folder} is damaged ({error}): run its section again") from error
    if copied:
        pictures.mkdir(parents=True, exist_ok=True)
    for path, png in copied.items():
        files.replace(path, png)
    files.replace(args.output, page.encode())
    print(f"saved {args.output}: {len(results)} sections, {len(copied)} figures in {pictures}")


def _book(args):
    """Write the book as a static site: sections with the results of runs, the engine, equations, search."""
    try:
        from minae.book.site import Site
    except ImportError as error:
        raise InputError(f"the book needs {error.name}, which is not here: pip install 'minae[book]'") from None

    if args.out is None and not args.train:
        raise InputError("--out is missing: give the folder of the site, such as --out site")
    if args.train:
        from minae.book import live

        live.train()
        if args.out is None:
            print(json.dumps({"trained": str(live.KEPT)}) if args.json else f"saved {live.KEPT}")
            return
    from tqdm.auto import tqdm

    with tqdm(unit=" pages", disable=None, leave=False) as bar:  # only where a person watches
        site = Site(args.out, args.runs, bar.update)
        bar.reset(len(site))
        found = site.build()
    if args.json:
        print(json.dumps(found))
        return
    print(f"saved {args.out}/index.html: {found['pages']} pages, {found['bytes'] / 1e6:.1f} MB, {found['seconds']} s")
    if found["without a run"]:
        print(f"without numbers and pictures, since they have no run: {', '.join(found['without a run'])}")


def _check(args):
    """Check the gradient of every model and layer against finite differences; exit 1 where one is wrong."""
    kinds = [checks.kinds().get(name) or get_model(name) for name in args.models] or list(checks.kinds().values())
    if args.effects:
        return _check_effects(args, kinds)
    reports, wrong, (check_case, tolerance, numbers) = {}, 0, _kind_of_check(args)
    if not args.json:
        print(f"{'case':40} {'gradients':>9} {'largest error':>14}  at")
    for kind in kinds:
        for case in kind.cases:
            name, model, batch = checks.case(kind, case, args.backend)
            for turn, report in zip(model.turns or [""], check_case(model, batch), strict=True):
                label = f"{name} {turn}".strip()
                reports[label] = report
                wrong += not report
                if not args.json:
                    _print_report(label, report, args.verbose)
    if args.json:
        cases = {name: json.loads(report.to_json()) for name, report in reports.items()}
        print(json.dumps({"passed": not wrong, "cases": cases}))
    else:
        print(f"{len(reports) - wrong} right, {wrong} wrong; tolerance {tolerance:g}, {numbers}")
    return 1 if wrong else 0


def _kind_of_check(args):
    """What checks a case, its tolerance, and what it computes with."""
    if not args.exact:
        return checks.check_case, checks.TOLERANCE, "float64"
    from minae import exact

    return exact.check_case, exact.TOLERANCE, f"{exact.DIGITS} digits\n{exact.HELD}"


def _check_effects(args, kinds):
    from minae import effects

    reports = {}
    if not args.json:
        print(f"{'case':40} {'statements':>10} {'seconds':>8}")
    for kind in kinds:
        for case in kind.cases:
            label, report = effects.check_case(kind, case, args.backend)
            reports[label] = report
            if not args.json:
                mark = _coloured("right" if report else "WRONG", GREEN if report else RED)
                print(f"{label:40} {len(report.rows):10} {report.seconds:8.1f}  {mark}", flush=True)
                if args.verbose or not report:
                    print("\n".join("    " + line for line in str(report).splitlines()))
    wrong = sum(not report for report in reports.values())
    if args.json:
        cases = {name: json.loads(report.to_json()) for name, report in reports.items()}
        print(json.dumps({"passed": not wrong, "cases": cases}))
    else:
        print(f"{len(reports) - wrong} right, {wrong} wrong")
    return 1 if wrong else 0


def _print_report(label, report, verbose):
    worst, mark = report.worst, "right" if report else "WRONG"
    at = f"∂({worst.terms})/∂{worst.parameter}"
    mark = _coloured(mark, GREEN if report else RED)
    print(f"{label:40} {len(report.rows):9} {worst.error:14.1e}  {at:20} {mark}", flush=True)
    if verbose or not report:
        print("\n".join("    " + line for line in str(report).splitlines()))


def _derive(args):
    """A tiny model's gradient as formulas: SymPy's, and the one that its page computes; exit 1 where they differ."""
    from minae.derive import derive

    derivations = derive(get_model(args.model), args.case, args.rows)
    if args.json:
        turns = [json.loads(derivation.to_json(args.latex)) for derivation in derivations]
        print(json.dumps({"passed": all(derivations), "derivations": turns}))
    else:
        print("\n\n".join(derivation.text(args.latex) for derivation in derivations))
    return 0 if all(derivations) else 1


def _options(args):
    """The models, and the options of one: what they mean, what they take, and their defaults."""
    kinds = registry() if args.model is None else {full_name(args.model): get_model(args.model)}
    if args.json:
        print(json.dumps({name: options.described(kind) for name, kind in kinds.items()}, default=repr))
        return
    for name, kind in kinds.items():
        first = (kind.__doc__ or "").strip().splitlines()
        print(f"{name:18} section {kind.section:7} {first[0].split('     ')[0] if first else ''}")
        if args.model is not None:
            for key, option in options.described(kind).items():
                print(f"  {key:12} {option['doc']}\n  {'':12} {option['expected']}; default {option['default']}")


def _train(args):
    """Train a model on data of your own and save it."""
    if not args.data_parallel:
        return _train_in(World(), args)
    from minae.interop.mpi import Ranks, own_device

    world = Ranks()
    if get_backend(args.backend).name == "cupy":
        own_device()
    if world.rank:
        warnings.simplefilter("ignore")
    try:
        with world.ending():
            return _train_in(world, args)
    except (Exception, KeyboardInterrupt):
        if world.rank == 0:
            raise  # the others have the same to say


def _train_in(world, args):
    """Every rank reads and trains; rank 0 alone talks and writes."""
    claim = files.claimed(args.output, "a training writes") if world.rank == 0 else contextlib.nullcontext()
    with contextlib.ExitStack() as at_end:
        with world.together():
            _check_model_output(args.output)  # better now than after the training
            at_end.enter_context(claim)
            model, X, validation, optimizer, checkpoint = _asked(args)
        talks = world.rank == 0 and not args.json
        if args.output.exists() and talks:
            print(f"{args.output} exists, and will be replaced at the end", flush=True)
        history = model.fit(
            X,
            epochs=args.epochs,
            batch_size=args.batch_size,
            optimizer=optimizer,
            validation=validation,
            patience=args.patience,
            seed=model.seed,
            checkpoint=checkpoint,
            every=args.every,
            resume=args.resume,
            callbacks=[lambda _, history: _print_epoch(history[-1], args.epochs)] if talks else [],
            world=world,
        )
        if world.rank:
            return
        model.save(args.output)  # it is there, whatever comes of the scores
        if hasattr(model, "score_samples"):
            with contextlib.suppress(InputError):  # a masked language model has none
                model.calibrate(X)
                model.save(args.output)
    if args.checkpoint is None and checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    print(json.dumps({"model": str(args.output), "history": history}) if args.json else f"saved {args.output}")


def _asked(args):
    """What `minae train` is asked for: the model, its data, those for validation, the optimizer, and a checkpoint."""
    kind = get_model(args.model)
    if args.optimizer not in OPTIMIZERS:
        close = meant(args.optimizer, OPTIMIZERS)
        raise InputError(f"unknown optimizer {args.optimizer!r}: choose one of {', '.join(OPTIMIZERS)}{close}")
    optimizer = OPTIMIZERS[args.optimizer]
    if optimizer is LBFGS and args.lr is not None:
        raise InputError("--lr does not go with lbfgs, which finds its own step length: leave it out")
    images = getattr(args, "channels", None) is not None
    if args.onward is None:
        if "vocabulary" in options.of(kind):
            X, preprocessing = _text(args, kind)
        else:
            X, preprocessing = data.Preprocessing.of(
                args.data, args.scale, args.standardise, images, args.array, args.drop, kind.recordings
            )
        model = _build(args, kind, () if isinstance(X, list) else X.shape[1:])
        model.preprocessing = preprocessing
    else:
        model = _onward(args, kind)
        X = _read(args, model)
    checkpoint = args.checkpoint
    if checkpoint is not None and files.target(checkpoint) == files.target(args.output):
        raise InputError(f"--checkpoint is {checkpoint}, where the model goes: leave it out, or give another name")
    if checkpoint is None and optimizer is not LBFGS:
        checkpoint = args.output.with_suffix(".checkpoint.safetensors")
    optimizer = optimizer() if args.lr is None else optimizer(lr=args.lr)
    return model, X, _validation(args, model), optimizer, checkpoint


def _text(args, kind):
    """The lines of a text as tokens, and the preprocessing that keeps its vocabulary."""
    if args.scale is not None or args.standardise or args.array or args.drop:
        raise InputError("--scale, --standardise, --array and --drop are for numbers, and this model learns from text")
    asked = {
        key: option.checked(option.default if getattr(args, key) is None else option.parse(getattr(args, key)))
        for key, option in options.of(kind).items()
        if key in ("vocabulary", "most")
    }
    X, preprocessing = data.Preprocessing.of_text(args.data, asked["vocabulary"], asked.get("most", 64))
    args.vocabulary = str(len(preprocessing.vocabulary))  # a short text has fewer
    return X, preprocessing


def _onward(args, kind):
    """The finished model of --continue. It has its options, so that none may be given."""
    given = [key for key in options.of(kind) if getattr(args, key, None) is not None]
    if given or args.standardise:
        word = (given or ["standardise"])[0].replace("_", "-")
        raise InputError(
            f"--{word} does not go with --continue, which takes what the model was built with: leave it out"
        )
    return load(args.onward, backend=args.backend, dtype=args.dtype)


def _validation(args, model):
    """What --validation names: data, read as those to learn from were, or a share of these."""
    if args.validation is None:
        return None
    try:
        share = float(args.validation)
    except ValueError:
        images = len(next(iter(model.fields.values())).shape) == 3
        return model.preprocessing.read(args.validation, None, images, args.array, recordings=model.recordings)
    if not 0 < share < 1:
        raise InputError(f"--validation is {args.validation}: expected a file, or a share in (0, 1) such as 0.1")
    return share


def _build(args, kind, shape):
    """The model that `minae train` is asked for; what is not given is the model's own default."""
    given = dict(TRAIN_DEFAULTS.get(args.model, {}))
    for key, option in options.of(kind).items():
        value = getattr(args, key, None)
        if isinstance(option, options.Sizes):
            most = option.most - 1 if option.most else None
            given[key] = [
                math.prod(shape),
                *(value if value is not None else [256, 30][-1:] if most == 1 else [256, 30]),
            ]
        elif value is not None:
            given[key] = option.parse(value) if isinstance(value, str) else value
    if "channels" in given:
        given["image"] = shape
    model = kind(**given, backend=args.backend, dtype=args.dtype)
    if others := [name for name, field in list(model.fields.items())[1:] if not field.optional]:
        raise InputError(
            f"a model of kind {args.model!r} learns from x and {' and '.join(others)}, and this command reads x alone: "
            "train it in Python, with fit(X, y)"
        )
    return model


def _print_epoch(record, epochs):
    terms = "  ".join(f"{k} {v:.5g}" for k, v in record.items() if k not in ("epoch", "step", "validation", "seconds"))
    at = "".join(f"  validation {k} {v:.5g}" for k, v in record.get("validation", {}).items() if k == "J")
    try:
        print(f"epoch {record['epoch']}/{epochs}  {terms.replace('examples_per_second', 'examples/s')}{at}", flush=True)
    except BrokenPipeError:  # `minae train … | head -1`: the reader is gone, the training is not
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _info(args):
    """What a file holds: the model, its options, its preprocessing, and how far a checkpoint has come."""
    _, metadata = files.read(args.model)
    kind, run = get_model(metadata["model"]), metadata.get("run")
    model = load(args.model, backend="numpy")
    found = {
        "model": kind.name,
        "section": kind.section,
        "options": model.config,
        "parameters": model.parameters.flat.size,
        "dtype": metadata["dtype"],
        "weights": dict(model.weights),
        "preprocessing": repr(model.preprocessing),
        "bytes": Path(args.model).stat().st_size,
        "bits": metadata.get("shrunk", {}).get("bits"),
        "checkpoint": run
        and {"epochs": run["epoch"], "steps of the next": run["position"], "last": run["history"][-1:]},
    }
    if args.json:
        print(json.dumps(found))
        return
    shapes = {name: array.shape for name, array in model.tensors().items()}
    print(f"{args.model}: a {'checkpoint of a ' * bool(run)}model of kind {kind.name}, section {kind.section}")
    print(f"  data           {model.preprocessing!r}")
    for name, value in model.config.items():
        print(f"  {name:14} {value}")
    for name, shape in shapes.items():
        print(f"  {name:14} {' × '.join(map(str, shape))}")
    stored = f", its matrices stored as {found['bits']} bits a weight" * bool(found["bits"])
    print(
        f"  {found['parameters']:,} parameters of {metadata['dtype']}{stored}, {found['bytes']:,} bytes, checksum right"
    )
    if run:
        print(f"  {run['epoch']} epochs done" + (f", and {run['position']} steps" if run["position"] else ""))
        for record in run["history"][-1:]:
            _print_epoch(record, record["epoch"])


def _pretrained(args):
    """The small trained models that come with the package: list them, or write the file of one."""
    from minae import recipes

    if args.name is None:
        if args.output or args.train:
            raise InputError(f"-o and --train take one model: give its name, one of {', '.join(recipes.RECIPES)}")
        found = recipes.pretrained()
        print(json.dumps(found) if args.json else found)
        return
    source = recipes.path_of(args.name)
    if args.output is None:
        raise InputError(
            f"where to? give -o FILE.safetensors for {args.name}; `minae info {source}` says what it holds"
        )
    _check_model_output(args.output)
    if args.train:
        recipes.train(args.name, args.output)
    else:
        files.replace(args.output, source.read_bytes())
    _, metadata = files.read(args.output)
    size = args.output.stat().st_size
    print(
        json.dumps(metadata["note"])
        if args.json
        else f"saved {args.output}: {metadata['note']['what']}, {size:,} bytes"
    )


def _shrink(args):
    """Write a model with fewer bits a weight. Every command reads the smaller file as it reads any other."""
    from minae import shrink

    model = load(args.model, backend="numpy")
    _check_model_output(args.output)
    found = {"bytes": args.model.stat().st_size, "small": shrink.save(model, args.output, args.bits), "bits": args.bits}
    if args.json:
        print(json.dumps(found))
        return
    share = found["small"] / found["bytes"]
    print(f"saved {args.output}: {found['small']:,} bytes, {share:.0%} of the {found['bytes']:,} of {args.model}")


def _export(args):
    """Write a model as an ONNX graph, which onnxruntime, browsers and phones run without minae."""
    from minae.interop import onnx

    if args.output.suffix != ".onnx":
        raise InputError(f"cannot write {str(args.output)!r}: its name must end in .onnx")
    files.target(args.output)
    model, former = load(args.model, backend="numpy"), args.output.exists()
    found = onnx.export(model, args.output, args.part)
    if args.json:
        print(json.dumps(found))
        return
    replaced = ", in place of the file that was there" * former
    print(f"saved {args.output}: {found['bytes']:,} bytes, ONNX of opset {found['opset']}{replaced}")
    for what in ("inputs", "outputs"):
        for name, (dtype, shape) in found[what].items():
            print(f"  {what[:-1]:8} {name:8} {' × '.join(map(str, shape))} {dtype}")


def _compress(args):
    """Write data as the code of a compressive model, in as few bits as its tables allow."""
    from minae import compression

    if args.output.suffix != ".mnc":
        raise InputError(f"cannot write {str(args.output)!r}: its name must end in .mnc")
    files.target(args.output)
    model = _load(args)
    coder, X = compression.tables(model), _read(args, model)
    file = compression.compress(model, X)
    files.replace(args.output, file)
    L = -float(model.score_samples(X).mean())  # of what comes back: few bytes alone may be an empty picture
    found = {"rows": len(X), "bytes": len(file), "bits of the tables": coder.bits(model.encode(X)), "L": L}
    if args.json:
        print(json.dumps(found))
        return
    each = 8 * len(file) / len(X)
    print(f"saved {args.output}: {len(X):,} rows in {len(file):,} bytes")
    print(f"{each:.4g} bits a row, which comes back with an error L of {L:.4g} in the mean")


def _decompress(args):
    """Write the rows that a file of `minae compress` holds, as the model decodes them."""
    from minae import compression

    _check_output(args.output)
    model = _load(args)
    try:
        file = args.file.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {args.file}: {error.strerror or error}; give a file of `minae compress`"
        ) from error
    r = compression.decompress(model, file)
    _write(args.output, r)


def _score(args):
    """Write the error L of each row: how badly the model reconstructs it. With --flag, also which rows are unusual."""
    import numpy as np

    _check_output(args.output)
    model = _load(args)
    threshold = None if args.flag is None else model.threshold(args.flag)
    L = -_verb(model, "score_samples")(_read(args, model))
    above = None if threshold is None else L > threshold
    _write(args.output, L[:, None] if above is None else np.stack([L, above], axis=1), quiet=args.json)
    row, found = int(L.argmax()), {"rows": len(L), "mean": float(L.mean()), "largest": float(L.max())}
    if above is not None:
        found |= {"threshold": threshold, "above": int(above.sum())}
    if args.json:
        print(json.dumps(found))
        return
    print(f"L has the mean {L.mean():.5g} and the largest value {L[row]:.5g}, at row {row + 1} of {len(L)}")
    if above is not None:
        print(f"{above.sum()} of {len(L)} rows lie above {threshold:.5g}, as {1 - args.flag:.3g} of the usual rows do")


def _encode(args):
    """Write the codes h = f(x) of data."""
    _check_output(args.output)
    model = _load(args)
    _write(args.output, _verb(model, "encode")(_read(args, model)))


def _reconstruct(args):
    """Write the reconstructions r = g(f(x)) of data."""
    _check_output(args.output)
    model = _load(args)
    X = _read(args, model)
    shape = X.shape[2:] if X.ndim == 4 else (round(X.shape[1] ** 0.5),) * 2
    if args.picture:
        if not hasattr(model, "reconstruct"):
            raise InputError(f"a {model.name} model gives no picture of x: leave out --picture")
        if args.picture.suffix != ".png":
            raise InputError(f"cannot draw {args.picture}: its name must end in .png")
        if X.ndim == 2 and math.prod(shape) != X.shape[1]:
            raise InputError(f"--picture draws square images, and a row has {X.shape[1]} numbers: leave it out")
        files.target(args.picture)
    r = _verb(model, "reconstruct")(X)
    _write(args.output, r)
    if args.picture:
        from minae import plots

        rows = {name: a[:12].mean(axis=1) if a.ndim == 4 else a[:12] for name, a in {"x": X, "r": r}.items()}
        plots.save(plots.images(rows, shape=shape), args.picture)


def _sample(args):
    """Draw new rows from a model that is a generator: as an array, as a sheet of pictures, or as lines of text."""
    output = args.output
    if output is not None and output.suffix not in (".npy", ".npz", ".csv", ".png", ".txt"):
        raise InputError(f"cannot write {str(output)!r}: its name must end in .npy, .npz, .csv, .png or .txt")
    if output is not None:
        files.target(output)
    model = _load(args)
    if not hasattr(model, "sample"):
        able = ", ".join(name for name, kind in registry().items() if hasattr(kind, "sample"))
        raise InputError(f"a model of kind {model.name!r} is no generator: those that draw are {able}")
    made = model.sample(args.count, seed=args.seed)
    texts = isinstance(made, list)
    if texts != (output is None or output.suffix == ".txt"):
        words = "texts, which go to a .txt" if texts else "rows of numbers, which go to a .npy, .npz, .csv or .png"
        raise InputError(f"this model draws {words}: give it as -o FILE")
    if texts:
        text = "".join(f"{line}\n" for line in made)
        if output is None:
            print(json.dumps({"samples": made}) if args.json else text, end="\n" * args.json)
            return
        files.replace(output, text.encode())
    elif output.suffix == ".png":
        _sheet(made, output)
    else:
        _write(output, made, quiet=args.json)
    shape = [len(made)] if texts else list(made.shape)
    if args.json:
        print(json.dumps({"output": str(output), "model": model.name, "shape": shape, "seed": args.seed}))
    elif texts or output.suffix == ".png":
        print(f"saved {output}: {len(made)} samples of a model of kind {model.name}, seed {args.seed}")


def _sheet(made, path):
    """Samples as grey pictures of one sheet, at most 12 in a row."""
    from minae import plots

    pictures = made.mean(axis=1) if made.ndim == 4 else made  # of colours, their mean
    shape = pictures.shape[1:] if pictures.ndim == 3 else (round(pictures.shape[1] ** 0.5),) * 2
    if pictures.ndim == 2 and math.prod(shape) != pictures.shape[1]:
        raise InputError(f"a .png shows square pictures, and a sample has {made.shape[1]} numbers: write a .npy")
    plots.save(plots.sheet(pictures.clip(0, 1), shape=shape), path)


def _convert(args):
    """Say the words of one .wav in the voice of another one, by a model of kind voice."""
    if args.output.suffix != ".wav":
        raise InputError(f"cannot write {str(args.output)!r}: its name must end in .wav")
    files.target(args.output)
    model = _load(args)
    convert = _verb(model, "convert")
    source, target = (model.preprocessing.read(path, recordings=True) for path in (args.source, args.target))
    if len(source) != 1:
        raise InputError(f"{args.source} is a folder of {len(source)} recordings: give one .wav, whose words are said")
    voice = model.speakers(source) if args.detail else None
    (x,) = convert(source, model.speakers(target).mean(axis=0), voice)
    rms = data.speech.loudness(data.read_wav(args.source))
    data.write_wav(args.output, data.griffin_lim(model.preprocessing.original(x), rms=rms))
    print(json.dumps({"wave": str(args.output), "frames": len(x)}) if args.json else f"saved {args.output}")


def _load(args):
    return load(args.model, backend=args.backend)


def _verb(model, name):
    """The method of this name. Raises InputError for a model that does not have it."""
    if not hasattr(model, name):
        raise InputError(f"a model of kind {model.name!r} has no `{name}`: see what it has in Python, with help(model)")
    return getattr(model, name)


def _read(args, model):
    """The data, in the shape of the model's x, preprocessed as those that it learned from."""
    images = len(next(iter(model.fields.values())).shape) == 3
    return model.preprocessing.read(args.data, args.scale, images, args.array, args.drop, model.recordings)


def _check_model_output(path):
    if path.suffix != ".safetensors":
        raise InputError(f"cannot write the model to {str(path)!r}: its name must end in .safetensors")
    files.target(path)


def _check_output(path):
    if path.suffix not in (".npy", ".csv"):
        raise InputError(f"cannot write {str(path)!r}: its name must end in .npy or .csv")
    files.target(path)


def _write(path, array, quiet=False):
    import io

    import numpy as np

    buffer = io.BytesIO()
    if path.suffix == ".npy":
        np.save(buffer, array)
    elif path.suffix == ".npz":
        np.savez_compressed(buffer, x=array)
    else:
        np.savetxt(buffer, array.reshape(len(array), -1), delimiter=",", fmt="%.9g")
    former = ", in place of the file that was there" if path.exists() else ""
    files.replace(path, buffer.getvalue())
    if not quiet:
        print(f"saved {path}: {' × '.join(map(str, array.shape))} {array.dtype}{former}")


def _bench(args):
    """Time, memory and first step beside PyTorch and the bare matrix products; says which of its bars are reached."""
    from tqdm.auto import tqdm

    from minae.bench import report, run

    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    options = dict(rounds=args.rounds, seconds=args.seconds, backend=args.backend)
    parts = len(args.workloads or run.WORKLOADS) + len(run.CURVES) * args.curves
    with tqdm(total=parts, unit=" measured", disable=None, leave=False) as bar:  # only where a person watches

        def each(kind, name, result):
            if not args.json:
                tqdm.write(report.text(kind, name, result))
                sys.stdout.flush()
            bar.update(kind != "machine")

        found = run.bench(args.workloads, compiled=not args.no_compile, curves=args.curves, each=each, **options)
    found["bars"] = report.bars(found)
    if args.out:
        files.replace(args.out / "bench.json", json.dumps(found, indent=1).encode())
        files.replace(args.out / "bench.md", report.markdown(found).encode())
        if args.curves:
            from minae import plots

            plots.save(report.picture(found), args.out / "curves.png")
    print(json.dumps(found) if args.json else report.closing(found))


def _completion(args):
    """Let the shell complete commands and options: a script for bash, zsh or tcsh, to be put where the shell looks."""
    try:
        import shtab
    except ImportError:
        raise InputError("completion is made by shtab: pip install 'minae[completion]'") from None
    parser = _parser(["train"])
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    train = commands["train"]
    for kind in registry().values():
        for key in options.of(kind):
            if f"--{key.replace('_', '-')}" not in train._option_string_actions:
                train.add_argument(f"--{key.replace('_', '-')}")
    for command in commands.values():
        for action in command._actions:
            if action.type is Path or action.metavar in ("MODEL", "DATA", "FILE"):
                action.complete = shtab.FILE
            if "--model" in action.option_strings:
                action.choices = list(registry())
            if "--optimizer" in action.option_strings:
                action.choices = list(OPTIMIZERS)
    print(shtab.complete(parser, args.shell))


def _doctor(args):
    """What works on this machine, and what to do about what does not; exit 1 where the engine cannot run."""
    from minae import doctor

    findings = doctor.examine()
    if args.json:
        print(json.dumps([dict(zip(("part", "state", "finding", "advice"), f, strict=True)) for f in findings]))
    else:
        for part, state, finding, advice in findings:
            print(f"{state:8} {part:18} {finding}")
            if advice:
                print(f"{'':27} → {advice}")
    return 1 if any(state == "broken" for _, state, _, _ in findings) else 0
