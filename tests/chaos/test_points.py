"""The list of crash points is the program's; and each is reached by some run of the matrix (a run that does not reach its point fails)."""
import re
from pathlib import Path

import matrix
import points

ROOT = Path(__file__).resolve().parents[2]
KINDS = ["record", "retry", "hold", "aside", "finish", "release"]
STEPS = ["meta", "klaviyo.profile", "klaviyo.event", "klaviyo.bulk", "klaviyo.list"]
# Reached only in ways that the matrix does not take, and why.
LEFT_OUT = {
    "sent.klaviyo.profile",  # as sent.klaviyo.event
    "http.answered.GET", "http.answered.HEAD",  # nobody waits for these with something at stake
}


def in_the_source():
    found = set()
    for path in [*ROOT.glob("server/**/*.c"), *ROOT.glob("base/*.c")]:
        text = path.read_text()
        found |= set(re.findall(r'\bFAILPOINT\("([^"]+)"\)', text))
        for group in re.findall(r'\bFAILPOINT_OF\(("[^"]+"|kinds\[[^,]+), ', text):
            if group.startswith("kinds"):
                found |= {f"{kind}.{when}" for kind in KINDS for when in ("before", "after")}
            elif group == '"http.answered"':
                found |= {f"http.answered.{method}" for method in ("POST", "GET", "HEAD")}
            else:
                found |= {f"{group.strip(chr(34))}.{step}" for step in STEPS}
    return found


def test_the_list_is_that_of_the_program():
    listed = {p.name for p in points.POINTS if not p.name.startswith("outside.")}
    assert listed | LEFT_OUT == in_the_source()
    assert not listed & LEFT_OUT
    assert len(listed) >= 25
    assert set(points.STOPS) <= listed


def test_three_thirds_are_all_of_it():
    every = list(matrix.cases())
    thirds = [{c for c in every if matrix.third_of(c, n)} for n in range(3)]
    assert set.union(*thirds) == set(every) and sum(map(len, thirds)) == len(every)
    assert min(map(len, thirds)) > len(every) / 5
    for n in range(3):
        assert {c[1] for c in thirds[n]} == {"sqlite", "redis", "spool"} and {c[3] for c in thirds[n]} == {"KILL", "STOP"}
