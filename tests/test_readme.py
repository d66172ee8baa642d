"""The page "With your tools" of the README: each block of Python runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import in_background

README = Path(__file__).parent.parent / "README.md"


def blocks(readme):
    """Name -> each fenced block of Python on the page; the name is its sub-heading, and its number there."""
    page, found = readme.partition("\n## With your tools\n")[2].split("\n## ")[0], {}
    for section in f"\n{page}".split("\n### "):
        codes = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        found |= {f"{section.partition(chr(10))[0]} {k}".strip(): code for k, code in enumerate(codes, 1)}
    return found


BLOCKS = blocks(README.read_text("utf-8"))


def judge(result):
    """Pass a block that ran to its end, and skip one whose package is missing."""
    last = result.stderr.strip().rpartition("\n")[2]
    if result.returncode and ("ModuleNotFoundError" in last or "pip install" in last):
        pytest.skip(last)
    assert result.returncode == 0, result.stdout + result.stderr


def script(out, name):
    (out / "block.py").write_text(BLOCKS[name], "utf-8")
    return [sys.executable, "block.py"], {"MINAE_BACKEND": "", "PYTHONWARNINGS": "error::UserWarning"}


@pytest.mark.parametrize("name", BLOCKS)
@in_background(script)
def test_a_block_runs_as_it_stands_there(name, ended):
    result, _ = ended
    judge(result)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("1 / 0", AssertionError), ("import no_such_package", pytest.skip.Exception), ("print(1)", None)],
)
def test_a_block_that_fails_is_seen(code, outcome):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if outcome is None:
        judge(result)
    else:
        with pytest.raises(outcome):
            judge(result)


def test_the_blocks_of_this_page_alone_are_found():
    page = "# A\n```python\n0\n```\n## With your tools\n```python\n1\n```\n### One\n```python\n2\n```\n```sh\nls\n```\n"
    found = blocks(f"{page}```python\n3\n```\n## Next\n```python\n4\n```\n")
    assert found == {"1": "1\n", "One 1": "2\n", "One 2": "3\n"}
    assert "scikit-learn 1" in BLOCKS
