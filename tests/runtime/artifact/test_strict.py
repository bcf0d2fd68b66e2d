"""What JSON may and may not say, whatever record it is read into."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.strict import AtMost, Between, Matching


@dataclass(frozen=True)
class Inner:
    ratio: Annotated[float, Between(0, 1)]


@dataclass(frozen=True)
class Record:
    count: Annotated[int, Between(1, 9)]
    name: Annotated[str, AtMost(5), Matching("[a-z]*", "lower-case letters")]
    kind: Literal["a", "b"]
    inner: tuple[Inner, ...]
    sizes: dict[Annotated[str, AtMost(3)], int]
    note: str | None = strict.optional()
    more: Annotated[tuple[Inner, ...], AtMost(2)] | None = strict.optional()


GOOD = {"count": 1, "name": "ab", "kind": "a", "inner": [{"ratio": 0.5}], "sizes": {"x": 1}}


def test_an_optional_key_may_be_missing_and_is_left_out_while_it_is_none():
    record = strict.parse(Record, GOOD)
    assert record.note is None
    assert "note" not in strict.dumps(record)
    noted = strict.parse(Record, {**GOOD, "note": "x"})
    assert strict.parse(Record, strict.loads(strict.dumps(noted))) == noted
    assert '"note": "x"' in strict.dumps(noted)


def test_a_list_that_is_too_long_is_refused_before_its_entries_are_read():
    """A manifest of 27,000 files took six seconds to be refused for their number."""
    with pytest.raises(ValueError, match="more: expected .* of length 2 at most"):
        strict.parse(Record, {**GOOD, "more": [{"ratio": "no number"}] * 3})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count: expected int from 1 to 9, found 0"),
        ({"count": 10**30}, "count: expected int from 1 to 9"),
        ({"name": "abcdef"}, "name: expected str of length 5 at most"),
        ({"name": "A"}, "name: expected str that is lower-case letters, found 'A'"),
        ({"name": "a\n"}, "name: expected str that is lower-case letters"),
        ({"name": "\ud800"}, "name: expected text without half a surrogate pair"),
        ({"kind": ["a"]}, "kind: expected one of"),
        ({"inner": [{"ratio": 2}]}, "inner[0].ratio: expected float from 0 to 1, found 2"),
        ({"inner": [{}]}, "missing key 'inner[0].ratio'"),
        ({"sizes": {"long": 1}}, "a key of sizes: expected str of length 3 at most"),
        ({"sizes": []}, "sizes: expected an object"),
    ],
)
def test_what_is_out_of_bounds_is_refused_and_named(change, message):
    with pytest.raises(ValueError) as caught:
        strict.parse(Record, {**GOOD, **change})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("1" + "0" * 400, "401 digits"),
        ("[-" + "9" * 5000 + "]", "5001 digits"),
        ("NaN", "NaN is not a number"),
        ('{"a": 1, "a": 2}', "occurs twice"),
    ],
)
def test_what_no_file_of_ours_says_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        strict.loads(text)


def test_a_number_that_is_infinite_as_a_float_is_refused():
    with pytest.raises(ValueError, match="a finite number"):
        strict.parse(Inner, strict.loads('{"ratio": 1e999}'))
