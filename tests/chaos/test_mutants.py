"""Every mutant still fits the program; whether they are caught takes minutes: scripts/chaos --mutants."""
import collections

import pytest

import mutants


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: m.name)
def test_fits(mutant):
    changed = collections.defaultdict(str)
    for name, text, becomes in mutant.edits:
        source = changed[name] or (mutants.ROOT / name).read_text()
        assert source.count(text) == 1, f"{name} no longer has this text once:\n{text}"
        changed[name] = source.replace(text, becomes)
