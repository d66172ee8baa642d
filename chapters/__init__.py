"""The scripts of the book's chapters, one for each section; see `minae list`. What they share is in section.py."""

from minae.chapters.section import Section, equations, find, options, sections, several, summary

__all__ = ["Section", "equations", "find", "options", "sections", "several", "summary"]
