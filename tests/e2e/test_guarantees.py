"""docs/guarantees.md names the tests that hold what it promises: each of them exists."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = sorted(set(re.findall(r"`((?:tests/\w+/|scripts/)?[\w.]+(?:::\w+)?)`", (ROOT / "docs/guarantees.md").read_text())))


def holder(name):
    """The file and the function that a name stands for; None: it is no name of a test."""
    file, _, function = name.partition("::")
    if not re.search(r"\.(py|c)$", file) and not file.startswith("scripts/"):
        return None
    return ROOT / (file if "/" in file else f"tests/e2e/{file}"), function


def test_what_is_named_exists():
    tests = [holder(name) for name in NAMED if holder(name)]
    assert len(tests) > 20
    missing = [f"{file.name}::{function}" for file, function in tests
               if not file.exists() or (function and f"def {function}(" not in file.read_text())]
    assert not missing
