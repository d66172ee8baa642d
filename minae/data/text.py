"""Text: lines as rows of tokens by a vocabulary that a model's file keeps, and two small collections of lines."""

import collections
import gzip
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import options
from ..errors import InputError, warn
from .idx import at_home, one_line, unpacked

MARKS = ("‹end›", "‹hidden›", "‹unknown›")  # the tokens 0, 1, 2 of every vocabulary
END, HIDDEN, UNKNOWN = range(3)
TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
GLOSSES, DESCRIPTIONS = "wordnet/glosses.tsv.gz", "debian_descriptions/descriptions.tsv.gz"


def split(line: str) -> list[str]:
    """The tokens of a line: words in small letters, with the apostrophes inside them, and signs one by one."""
    return TOKEN.findall(line.lower())


class Vocabulary:
    """Which token has which number: the marks first, and then words from the most frequent on.

    words: all tokens in their order, the three marks included
    most:  tokens that a line may have, the end included; what is behind them is cut off
    """

    def __init__(self, words: Any, most: int = 64):
        words = list(words)
        if words[:3] != list(MARKS) or len(set(words)) != len(words):
            raise InputError(
                f"words are {words[:3]}, …: expected {', '.join(MARKS)} and then words, none of them twice"
            )
        self.words, self.most = words, most
        self.number = {word: k for k, word in enumerate(words)}

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self):
        return f"text of {len(self):,} tokens, up to {self.most} a line"

    @classmethod
    @options.door(size=options.Count(lowest=4), most=options.Count(lowest=2))
    def of(cls, lines: list[str], size: int = 2000, most: int = 64) -> "Vocabulary":
        """The vocabulary of these lines: the marks and their most frequent words, `size` tokens at most.

        Words that are equally frequent come in the order of the alphabet, so that nothing depends on chance."""
        counts = collections.Counter(word for line in _checked(lines) for word in split(line))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        return cls([*MARKS, *words[: size - len(MARKS)]], most)

    def tokens(self, lines: list[str]) -> list[np.ndarray]:
        """The tokens of each line with ‹end› behind them, int32 arrays; a word that is not there is ‹unknown›."""
        rows = [[self.number.get(word, UNKNOWN) for word in split(line)] for line in _checked(lines)]
        long = sum(len(row) >= self.most for row in rows)
        if long:
            warn(
                f"{long} of {len(rows)} lines have more than {self.most - 1} tokens and are cut there; a vocabulary "
                f"with a larger `most` keeps them whole"
            )
        return [np.array([*row[: self.most - 1], END], np.int32) for row in rows]

    def lines(self, rows: list[np.ndarray]) -> list[str]:
        """The way back: words with blanks between them, up to ‹end›."""
        return [" ".join(self.words[k] for k in row if k != END) for row in rows]


def _checked(lines):
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        raise InputError(f"lines is a {type(lines).__name__}: expected a list of text, a line for each example")
    return lines


def read_lines(path: Any) -> list[str]:
    """The lines of a text file (.txt, also .gz), UTF-8, without those that are empty."""
    path = at_home(path)
    try:
        text = unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is no text in UTF-8 ({one_line(error)}): write it again in UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot open {str(path)!r}: {one_line(error)}; check the path") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if split(line)]
    if not lines:
        raise InputError(f"{str(path)!r} holds no words: expected a line of text for each example")
    return lines


def is_text(path: Any) -> bool:
    """Whether a file's name says that it is running text."""
    return str(path).lower().endswith((".txt", ".txt.gz"))


class Descriptions(NamedTuple):
    """Packages of Debian: lists of equal length. summary: one line;  text: the long description, by the same persons
    split: "train" or "test"; packages of one source are in one of them"""

    package: list[str]
    summary: list[str]
    text: list[str]
    split: list[str]


@options.door(full=options.Flag())
def glosses(full: bool = False) -> list[str]:
    """Definitions of WordNet 3.0, without their examples: a sample that ships with minae, or all of `$MINAE_DATA`."""
    if not full:
        return _sample("glosses.txt.gz")
    rows = _table(GLOSSES)
    return list(dict.fromkeys(definition for *_, gloss in rows if (definition := gloss.split('; "')[0].strip())))


@options.door(full=options.Flag())
def descriptions(full: bool = False) -> Descriptions:
    """Package descriptions of Debian 12: short ones that ship with minae, or all of `$MINAE_DATA`."""
    rows = _table(DESCRIPTIONS)[1:] if full else [line.split("\t") for line in _sample("descriptions.tsv.gz")]
    columns = [(package, summary, text, split) for split, package, _, summary, text in rows]
    return Descriptions(*map(list, zip(*columns, strict=True)))


def has(name: str) -> bool:
    """Whether all of a collection is in the folder `$MINAE_DATA`.     name: "glosses" or "descriptions\""""
    folder = os.environ.get("MINAE_DATA") or ""
    return bool(folder) and (at_home(folder) / {"glosses": GLOSSES, "descriptions": DESCRIPTIONS}[name]).is_file()


def _sample(name):
    path = Path(__file__).with_name(name)
    try:
        return gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except Exception as error:
        raise InputError(f"the sample {str(path)!r} is missing or damaged: install minae again") from error


def _table(name):
    folder = os.environ.get("MINAE_DATA")
    path = folder and at_home(folder) / name
    if not path or not path.is_file():
        raise InputError(f"there is no {name}: set MINAE_DATA to the folder that holds it, or take the sample")
    return [line.split("\t") for line in unpacked(path).decode("utf-8").splitlines()]
