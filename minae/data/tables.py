"""Tables of typed columns: a delimited file, and a short schema by which its columns become numbers.

    columns = read_columns("bank.csv")                                 name -> the words of the column
    schema = {"number": ["age"], "log": ["campaign"], "category": ["job", "month"], "time": ["timestamp"]}
    encoding = TableEncoding.of(columns, schema, rows=train)           learned from the training rows alone
    X = encoding.encode(columns)                                       (rows, n + C) float32, see `minae.fields.Row`

| kind     | becomes                                                                                               |
| -------- | ----------------------------------------------------------------------------------------------------- |
| number   | (x − mean)/deviation of the training rows; a missing one is 0, the mean                               |
| log      | the same of sign(x) log(1 + |x|), for amounts and durations, a few of which are huge                   |
| time     | sin and cos of the hour, and of the day of the week, so that 23:59 lies beside 0:01; missing: 0, 0     |
| category | a whole number: 1 … K − 1 for the words of the training rows, 0 for a word that they do not have       |

Where training rows lack a number, a column of 0 and 1 says which. A missing word is a word of its own. Columns that do
not vary in the training rows are left out, and `left_out` names them. A `TableEncoding` is kept in the model's file, as
the `table` of its preprocessing.
"""

import csv
import datetime
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import options
from ..errors import InputError, meant
from .idx import at_home, one_line, unpacked

KINDS = ("number", "log", "time", "category")
MISSING = ("", "na", "n/a", "nan", "null", "?")  # in small letters
CIRCLES = ("sin hour", "cos hour", "sin weekday", "cos weekday")
TABLES = {  # name -> file of `$MINAE_DATA`, sample that ships with minae
    "bank": ("response/bank_marketing.tsv.gz", "bank_sample.tsv.gz"),
    "shoppers": ("response/online_shoppers.tsv.gz", "shoppers_sample.tsv.gz"),
    "bandit": ("response/open_bandit.tsv.gz", None),
}
Columns = dict[str, list[str]]


@options.door(path=options.File(), delimiter=options.Word(optional=True))
def read_columns(path: Any, delimiter: str | None = None) -> Columns:
    """The columns of a delimited text file with a header (.gz too): name -> a word for each row.

    delimiter: by default the one of tab, semicolon and comma that the header has most of"""
    path = at_home(path)
    try:
        if path.is_dir():
            raise InputError(
                f"{str(path)!r} is a folder: expected a table, a file with a header and a row on each line"
            )
        lines = unpacked(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is no text in UTF-8 ({one_line(error)}): write it again in UTF-8") from error
    except OSError as error:  # a folder on the way that may not be read
        raise InputError(f"cannot open {str(path)!r}: {one_line(error)}; check the path and its permissions") from error
    lines = [line for line in lines if line.strip()]
    if len(lines) < 2:
        raise InputError(f"{str(path)!r} holds no rows: expected a header and a row on each line below it")
    comma = delimiter or max("\t;,", key=lines[0].count)
    if len(comma) > 1:
        raise InputError(f"delimiter is {comma!r}: expected one character")
    names, *rows = ([word.strip() for word in row] for row in csv.reader(lines, delimiter=comma))
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{str(path)!r} has two columns that are called {twice[0]!r}: give each a name of its own")
    for k, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise InputError(f"{str(path)!r} has {len(row)} columns in row {k}: expected {len(names)}, as the header")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


@options.door(name=options.Choice("bank", among=tuple(TABLES)), full=options.Flag())
def responses(name: str, full: bool = False) -> Columns:
    """Who said yes: "bank" (calls, by time), "shoppers" (visits of a shop), "bandit" (pictures of clothes, clicks).

    A sample that ships with minae, or with `full` all of `$MINAE_DATA`, which alone has "bandit"; see SOURCE.md."""
    file, sample = TABLES[name]
    if not full and sample is not None:
        return read_columns(Path(__file__).with_name(sample))
    if not has(name):
        raise InputError(f"there is no table {name!r}: set MINAE_DATA to the folder that holds {file}")
    return read_columns(at_home(os.environ["MINAE_DATA"]) / file)


def has(name: str) -> bool:
    """Whether all of a table of `responses` is in the folder `$MINAE_DATA`."""
    folder = os.environ.get("MINAE_DATA") or ""
    return bool(folder) and name in TABLES and (at_home(folder) / TABLES[name][0]).is_file()


def labels(columns: Columns, target: str, yes: str) -> np.ndarray:
    """1 where column `target` has the word `yes`, else 0; int (rows,)."""
    words = _column(columns, target)
    if yes not in words:
        raise InputError(f"the column {target!r} has no {yes!r}: it has {', '.join(sorted(set(words))[:5])}")
    return np.array([word == yes for word in words], int)


def times(words: list[str]) -> np.ndarray:
    """sin and cos of the hour of the day and of the day of the week, (rows, 4), of ISO times such as 2019-11-24 23:59.

    A time that is missing is the centre of both circles, 0.
    """
    out = np.zeros((len(words), 4))
    for k, word in enumerate(words):
        if word.lower() in MISSING:
            continue
        try:
            when = datetime.datetime.fromisoformat(word)
        except ValueError:
            raise InputError(f"row {k + 1} has the time {word!r}: expected one such as 2019-11-24 23:59:00") from None
        day = (when.hour + when.minute / 60 + when.second / 3600) / 24
        for at, turn in ((0, day), (2, when.weekday() / 7)):
            out[k, at : at + 2] = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
    return out


def numbers(words: list[str], name: str, kind: str = "number") -> np.ndarray:
    """float64 (rows,), NaN where a word is missing; of the kind "log", sign(x) log(1 + |x|)."""
    out = np.full(len(words), np.nan)
    for k, word in enumerate(words):
        if word.lower() in MISSING:
            continue
        try:
            out[k] = float(word)
        except ValueError:
            raise InputError(
                f"row {k + 1} of column {name!r} has {word!r}: expected a number, or a schema with {name!r} as category"
            ) from None
    if np.isinf(out).any():
        raise InputError(f"column {name!r} has infinite numbers in row {int(np.isinf(out).argmax()) + 1}: correct it")
    return np.sign(out) * np.log1p(abs(out)) if kind == "log" else out


class TableEncoding:
    """What training rows taught of each column: means and deviations of the numbers, words of the categories.

    kept:     column -> {"kind": …} with "mean" and "deviation", "lacks" (whether a column says what is missing), or
              "words", in the order in which they are encoded
    left_out: columns of the schema that do not vary in the training rows
    """

    def __init__(self, kept: dict[str, dict[str, Any]], left_out: Any = ()):
        self.kept, self.left_out = kept, list(left_out)
        self.categories = [1 + len(one["words"]) for one in kept.values() if one["kind"] == "category"]
        self.names = [name for name, one in kept.items() if one["kind"] == "category"]  # of the categories
        self.numbers: list[str] = []  # names of the columns of numbers
        for name, one in kept.items():
            more = {"time": [f"{name}, {circle}" for circle in CIRCLES], "category": []}
            self.numbers += more.get(one["kind"], [name] + [f"{name} is missing"] * one.get("lacks", False))

    def __repr__(self):
        return f"a table of {len(self.numbers)} numbers and {len(self.names)} categories"

    @property
    def columns(self) -> int:
        """How many an encoded row has: the first of a model's `sizes`."""
        return len(self.numbers) + len(self.names)

    def described(self) -> dict[str, Any]:
        """The arguments, as JSON keeps them."""
        return {"kept": self.kept, "left_out": self.left_out}

    @classmethod
    def of(cls, columns: Columns, schema: dict[str, list[str]], rows: Any = None) -> "TableEncoding":
        """Learn from these rows, by default all. Take the training rows alone: what is learned from others leaks.

        schema: kind -> names of columns; a column that it does not name is left out"""
        if not isinstance(schema, dict) or not schema or not set(schema) <= set(KINDS):
            raise InputError(f"schema is {schema!r:.80}: expected lists of columns by their kind, {', '.join(KINDS)}")
        named = [name for kind in KINDS for name in schema.get(kind, ())]
        if len(set(named)) < len(named):
            raise InputError(f"schema names {max(named, key=named.count)!r} twice: expected one kind for each column")
        kept, left_out = {}, []
        for kind in KINDS:
            for name in schema.get(kind, ()):
                words = _column(columns, name)
                words = words if rows is None else [words[k] for k in rows]
                one = cls._learned(words, name, kind)
                if one is None:
                    left_out.append(name)
                else:
                    kept[name] = {"kind": kind} | one
        if not kept:
            raise InputError(f"no column varies: {', '.join(left_out)} have one value in all {len(words)} rows")
        return cls(kept, left_out)

    @staticmethod
    def _learned(words, name, kind):
        """What `encode` needs of a column; None for one that does not vary."""
        if kind == "category":
            known = sorted(set(words))
            return {"words": known} if len(known) > 1 else None
        if kind == "time":
            return {} if np.ptp(times(words), axis=0).any() else None
        x = numbers(words, name, kind)
        there, lacks = x[~np.isnan(x)], bool(np.isnan(x).any())
        if not len(there):
            return None
        mean, deviation = float(there.mean()), float(there.std())
        if deviation <= 1e-9 * max(1.0, abs(mean)):
            if not lacks:
                return None
            deviation = 1.0  # what varies is whether it is there
        return {"mean": mean, "deviation": deviation, "lacks": lacks}

    def encode(self, columns: Columns) -> np.ndarray:
        """(rows, n + C) float32: the numbers of `numbers`, then the categories of `names` as whole numbers."""
        first, last = [], []
        for name, one in self.kept.items():
            words = _column(columns, name)
            if one["kind"] == "category":
                code = {word: k for k, word in enumerate(one["words"], 1)}
                last.append([code.get(word, 0) for word in words])
            elif one["kind"] == "time":
                first += list(times(words).T)
            else:
                x = numbers(words, name, one["kind"])
                missing = np.isnan(x)
                first.append(np.where(missing, 0, (x - one["mean"]) / one["deviation"]))
                first += [missing] if one["lacks"] else []
        return np.column_stack([*first, *last]).astype(np.float32)


def _column(columns, name):
    if not isinstance(columns, dict) or name not in columns:
        known = ", ".join(columns) if isinstance(columns, dict) else f"a {type(columns).__name__}"
        close = meant(name, columns) if isinstance(columns, dict) else ""
        raise InputError(f"there is no column {name!r}: the table has {known}{close}")
    return columns[name]
