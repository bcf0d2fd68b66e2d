"""The attacks of benchmarks/robustness, a minute of them."""

import shutil

import pytest

from benchmarks.robustness import artifacts, images, writes
from benchmarks.robustness.soak import soak

SEED = 1
HANG_S = 30.0  # on a machine that is slow and busy


def run(worker, numbers, sound, again: str) -> dict[str, int]:
    """The counts of the trials' outcomes; a fault fails with what runs it again."""
    counts: dict[str, int] = {}
    faults = []
    try:
        for number in numbers:
            outcome = worker.run(number)
            counts[outcome.kind] = counts.get(outcome.kind, 0) + 1
            if outcome.kind not in sound:
                command = f"python -m benchmarks.robustness.measure --no-record --only {again}"
                faults.append(f"{command} --seed {SEED} --start {number}\n{outcome}")
    finally:
        worker.close()
    assert not faults, "\n".join(faults)
    return counts


def test_a_mutated_artifact_is_refused_or_scores_as_the_sound_one(tiny):
    worker = artifacts.worker(tiny, SEED, limit_s=HANG_S)
    counts = run(worker, range(300), artifacts.OUTCOMES, "artifacts --mutations 1")
    assert min(counts.get(kind, 0) for kind in artifacts.OUTCOMES) > 5  # it attacks at all


def test_a_damaged_image_with_checksums_is_an_error(tiny):
    worker = images.worker(tiny, SEED, "damaged", limit_s=HANG_S)
    counts = run(worker, range(304), images.OUTCOMES, "images --images 1")
    assert counts[images.ERROR] > 100


def test_an_image_of_hostile_structure_is_an_image_error_or_decodes_the_same_twice(tiny):
    worker = images.worker(tiny, SEED, "structure", limit_s=HANG_S)
    counts = run(worker, range(200), images.OUTCOMES, "images --images 2")
    assert counts[images.ERROR] > 50


def test_a_name_that_is_no_plain_file_is_an_image_error_at_once(tiny):
    worker = images.worker(tiny, SEED, "no plain file", limit_s=HANG_S)
    assert run(worker, range(9), images.OUTCOMES, "images") == {images.ERROR: 9}


def test_a_write_that_is_cut_short_leaves_the_old_or_the_new_and_says_which():
    if not any(map(shutil.which, ("cc", "gcc", "g++"))):
        pytest.skip("no C compiler, which the library that lets calls fail is made with")
    worker = writes.worker(writes.KINDS, SEED, commands=("fit", "tune"))
    run(worker, range(15), writes.OUTCOMES, "writes")  # the outcome says what was done


def test_a_watch_gives_each_frame_its_line_whatever_comes(tiny, tmp_path):
    found = soak(tiny, tmp_path, frames=150, seed=SEED, limit_s=4 * HANG_S)
    assert found["faults"] == [], "\n".join(map(str, found["faults"]))
    assert found["lines"] >= 100
