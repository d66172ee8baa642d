"""The book as a static site: `minae book --out site` writes it. See `site.py`."""
