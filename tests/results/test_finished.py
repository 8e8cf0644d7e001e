"""The small set of finished trials is a set."""

from hypothesis import given
from hypothesis import strategies as st

from study.results import Finished

TRIALS = st.tuples(st.sampled_from("abc"), st.integers(0, 50))


WANTED = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 60))


@given(trials=st.lists(TRIALS), asked=TRIALS, wanted=WANTED)
def test_it_holds_what_was_put_in(trials, asked, wanted):
    """Membership and counts are those of a set of pairs, whatever comes twice or out of order."""
    plain = set(trials)
    finished = Finished(trials)

    assert (asked in finished) == (asked in plain)
    assert finished.count(wanted) == sum(n < wanted.get(cell, 0) for cell, n in plain)
