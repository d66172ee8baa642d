"""The scripts of the book's chapters, one for each section; see `minae list`. What they share is in section.py."""

from minae.chapters.notebook import notebook
from minae.chapters.section import Section, equations, find, options, picture, sections, several, summary

__all__ = ["Section", "equations", "find", "notebook", "options", "picture", "sections", "several", "summary"]
