import numpy as np
import pytest

from edge_ad.images.good import GoodImages, list_images
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.images.preprocess import Preprocessing


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_sorted_and_nothing_else(tmp_path):
    touch(tmp_path / "b.PNG", tmp_path / "a.jpg", tmp_path / "notes.txt", tmp_path / "sub/c.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [p.name for p in list_images(tmp_path, "*.jpg")] == ["a.jpg"]


def test_an_empty_folder_is_refused_and_its_subfolders_named(tmp_path):
    touch(tmp_path / "train/good/1.png")
    with pytest.raises(FitError, match="directly in this folder; it holds the folders train"):
        list_images(tmp_path)
    with pytest.raises(FitError, match="no such folder"):
        list_images(tmp_path / "none")


def test_some_of_the_images_are_read_alone_and_in_their_order(parts):
    images = GoodImages(list_images(parts / "train/good"), Preprocessing(size=(32, 40)))
    ((_, every),) = list(images.only(range(4)).batches())
    ((_, some),) = list(images.only([3, 1]).batches())
    assert np.array_equal(some, every[[3, 1]])
    in_memory = GoodImages.in_memory(every, images.preprocessing).only([2])
    assert in_memory.screened
    assert np.array_equal(next(in_memory.batches())[1], every[[2]])
