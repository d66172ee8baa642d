"""The scripts of the book's chapters, one for each section; see `minae list`. What they share is in section.py."""

from minae.chapters.notebook import notebook
from minae.chapters.section import (
    Section,
    equations,
    find,
    options,
    picture,
    place,
    runs,
    sections,
    several,
    small,
    summary,
)

__all__ = ["Section", "equations", "find", "notebook", "options", "picture", "place", "runs", "sections", "several",
           "small", "summary"]  # fmt: skip
