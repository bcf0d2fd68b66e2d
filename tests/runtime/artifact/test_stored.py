"""Files that stay open: never is anything else read from them than what was hashed."""

import os
import shutil

import numpy as np
import pytest

from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.artifact.stored import HashedFile, StoredSlices
from edge_ad_runtime.errors import ArtifactError

SHAPE = (5, 4, 3)
EXPECTED = Shaped(np.float16, SHAPE)


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float16)


@pytest.fixture
def path(values, tmp_path):
    np.save(tmp_path / "layer1.npy", values)
    return tmp_path / "layer1.npy"


@pytest.fixture
def slices(path):
    opened = StoredSlices(HashedFile(os.open(path, os.O_RDONLY), path), EXPECTED)
    yield opened
    opened.close()


def test_slices_are_those_of_the_array(slices, values):
    for i in (3, 0, 4):
        assert np.array_equal(slices.read(i), values[i])


def test_a_file_that_was_moved_or_deleted_is_still_read(slices, path, values):
    path.rename(path.with_name("elsewhere.npy"))
    assert np.array_equal(slices.read(1), values[1])
    path.with_name("elsewhere.npy").unlink()
    assert np.array_equal(slices.read(1), values[1])


def test_a_file_with_a_new_date_and_the_old_content_is_still_read(slices, path, values):
    os.utime(path, ns=(0, 0))
    assert np.array_equal(slices.read(2), values[2])


def test_another_file_of_the_same_name_is_not_looked_at(slices, path, values):
    np.save(path.with_name("other.npy"), np.zeros_like(values))
    path.with_name("other.npy").rename(path)
    assert np.array_equal(slices.read(2), values[2])


def test_a_file_that_is_written_over_is_an_error(slices, path, values):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of the last slice alone
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a copy keeps it
    with pytest.raises(ArtifactError, match="has changed since it was loaded; load") as caught:
        slices.read(0)
    assert caught.value.path == path


@pytest.mark.parametrize("size", [0, 100, 200])
def test_a_file_that_is_cut_short_is_an_error(slices, path, size):
    os.truncate(path, size)
    with pytest.raises(ArtifactError, match="has changed since it was loaded"):
        slices.read(4)


def test_a_changed_file_that_comes_back_is_read_again(slices, path, values):
    shutil.copy(path, path.with_name("kept.npy"))
    path.write_bytes(b"something else")
    with pytest.raises(ArtifactError):
        slices.read(0)
    path.write_bytes(path.with_name("kept.npy").read_bytes())
    assert np.array_equal(slices.read(0), values[0])


@pytest.mark.parametrize(
    "expected", [Shaped(np.float32, SHAPE), Shaped(np.float16, (5, 3, 4)), Shaped(np.float16, (5,))]
)
def test_an_array_of_another_type_or_shape_is_refused(path, expected):
    file = HashedFile(os.open(path, os.O_RDONLY), path)
    with pytest.raises(ValueError, match="holds float16 of shape"):
        StoredSlices(file, expected)
    file.close()


def test_a_file_shorter_than_its_header_says_is_refused(path):
    os.truncate(path, path.stat().st_size - 2)
    file = HashedFile(os.open(path, os.O_RDONLY), path)
    with pytest.raises(ValueError, match="118 bytes of data, 120 make"):
        StoredSlices(file, EXPECTED)
    file.close()
