"""Text of others on its way to a terminal."""

import json

import pytest

from study.printable import json_text, printable, printable_lines, without_colours

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


def test_what_is_no_number_is_null_in_json():
    """JSON has neither NaN nor infinities, in whatever they lie."""
    told = json_text({"a": [float("inf"), (1.5, float("nan"))], "b": {"c": -float("inf"), "d": 2}})

    assert json.loads(told, parse_constant=pytest.fail) == {
        "a": [None, [1.5, None]],
        "b": {"c": None, "d": 2},
    }
