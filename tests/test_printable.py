"""Text of others on its way to a terminal."""

import pytest

from study.printable import printable, printable_lines, without_colours

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\ud800", "\u2028"])
def test_what_a_terminal_obeys_becomes_a_question_mark(letter: str):
    """Controls, what changes the direction or has no width, what is no letter; not line ends."""
    assert printable(f"a{letter}b\n") == "a?b?"
    assert printable_lines(f"a{letter}b\n\t") == "a?b\n\t"


def test_what_is_printable_stays():
    """Letters of all languages stay, and colours go whole."""
    text = "größe 大きさ ±1 µs"
    assert printable(text) == printable_lines(text) == without_colours(text) == text
    assert without_colours("\x1b[1;31mred\x1b[0m") == "red"
