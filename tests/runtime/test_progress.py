"""Progress in a log: a line every tenth and minute, nothing with --quiet, no talk among results."""

import click
from click.testing import CliRunner

from edge_ad_runtime.progress import QUIET, ProgressBar


def told(work, meta=None):
    @click.command()
    @click.pass_context
    def command(ctx):
        ctx.meta.update(meta or {})
        work()

    result = CliRunner().invoke(command, [])
    assert result.exception is None
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_a_log_gets_a_line_every_tenth():
    lines = told(lambda: list(ProgressBar(range(1000), "features", "image")))
    assert len(lines) == 10
    assert lines[0].startswith("features: 100 of 1000 images, ")
    assert not any("\r" in line for line in lines)


def test_a_log_of_slow_work_gets_a_line_every_minute(monkeypatch):
    now_s = 0.0
    monkeypatch.setattr("edge_ad_runtime.progress.time.monotonic", lambda: now_s)

    def work():
        nonlocal now_s
        with ProgressBar[None](total=1000, desc="training", unit="epoch") as bar:
            for _ in range(12):
                now_s += 16
                bar.update()

    assert told(work) == [
        "training: 4 of 1000 epochs, 64 s",
        "training: 8 of 1000 epochs, 128 s",
        "training: 12 of 1000 epochs, 192 s",
    ]


def test_few_steps_are_a_line_each():
    assert len(told(lambda: list(ProgressBar(range(3), "x")))) == 3


def test_steps_with_names_are_told_when_they_begin():
    def work():
        with ProgressBar[None](total=2, desc="export") as bar:
            for name in ("network", "index"):
                bar.begin(name)
                bar.update()

    lines = told(work)
    assert [line.rpartition(",")[0] for line in lines] == [
        "export: network, step 1 of 2",
        "export: index, step 2 of 2",
    ]


def test_what_goes_on_is_not_counted_from_the_start():
    def work():
        with ProgressBar[None](total=100, initial=90, desc="training", unit="epoch") as bar:
            for _ in range(10):
                bar.update()

    assert len(told(work)) == 1


def test_quiet_and_disabled_work_says_nothing():
    assert told(lambda: list(ProgressBar(range(9))), {QUIET: True}) == []
    assert told(lambda: list(ProgressBar(range(9), disable=True))) == []


def test_work_without_steps_says_nothing():
    assert told(lambda: list(ProgressBar([]))) == []
