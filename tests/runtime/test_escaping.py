import json

import pytest

from edge_ad_runtime.escaping import json_text, shown

HOSTILE = "\x00\x07\n\r\t\x1b[31m\x7f\x85\x9b\u2028\u202e\u2066\ufeff\udcff"


def test_nothing_hostile_is_left_and_the_rest_is_as_it_was():
    for text in (shown(HOSTILE), json_text(HOSTILE)):
        assert text.isascii()
        assert text.isprintable()
    assert shown("Prüfling 部品 7.png") == "Prüfling 部品 7.png"
    assert json_text("Prüfling 部品") == '"Prüfling 部品"'


@pytest.mark.parametrize("value", [HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}])
def test_json_says_what_it_was(value):
    assert json.loads(json_text(value)) == value


def test_a_name_that_forges_a_line_is_one_line():
    assert shown("x.png\ngood  0.1") == r"x.png\ngood  0.1"
