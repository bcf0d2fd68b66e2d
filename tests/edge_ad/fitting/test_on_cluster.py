"""Fits on a cluster: what is learned, what is not done twice, and what is said of bad images."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_ad import PadimConfig, PatchCoreConfig, SpadeConfig, fit
from edge_ad.compute.inline import InlineCluster
from edge_ad.features.tasks import FeatureTask
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.fitting.on_cluster import fit_on
from edge_ad_runtime.errors import ConfigError, EdgeADWarning, FitError
from edge_ad_runtime.images import write_png

TWO = InlineCluster(slots=2)


@pytest.fixture
def names(parts):
    return sorted(map(str, (parts / "train/good").glob("*.png")))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fit_small(cluster, names, config, work, **more):
    fitted, notes = fit_on(cluster, names, config, work, task_images=2, **more)
    return fitted


@pytest.mark.parametrize("whiten", [False, True])
def test_it_learns_what_one_machine_learns(parts, small, names, tmp_path, whiten):
    config = replace(small, whiten=whiten)
    one = fit(parts / "train/good", config)
    many = fit_small(TWO, names, config, tmp_path / "work")
    assert [i.path for i in many.record.images] == [i.path for i in one.record.images]
    assert [i.sha256 for i in many.record.images] == [i.sha256 for i in one.record.images]
    assert [i.held_out for i in many.record.images] == [i.held_out for i in one.record.images]
    assert many.kept.features.shape == one.kept.features.shape
    both = (many.record.certificate, one.record.certificate)
    assert both[0].covering_radius == pytest.approx(both[1].covering_radius, rel=1e-3)
    assert both[0].ratio == both[1].ratio == 2
    assert many.calibration.threshold == pytest.approx(one.calibration.threshold, rel=1e-2)
    assert many.record.isolated[0].path == one.record.isolated[0].path
    for name, value in one.state.items():
        assert np.allclose(many.state[name], value, atol=1e-4), name
    assert np.array_equal(many.held_out, one.held_out)


def test_a_fit_on_ray_is_that_of_this_process(two_on_ray, names, small, tmp_path):
    ray, inline = (
        fit_small(cluster, names, small, tmp_path / name)
        for name, cluster in (("ray", two_on_ray), ("inline", TWO))
    )
    assert ray.record.certificate.covering_radius == pytest.approx(
        inline.record.certificate.covering_radius, rel=1e-5
    )
    assert ray.calibration.threshold == pytest.approx(inline.calibration.threshold, rel=1e-5)
    ray.save(tmp_path / "ray.fit")
    assert FittedDetector.load(tmp_path / "ray.fit").record == ray.record


def test_a_second_start_computes_only_what_is_missing_or_damaged(
    names, small, tmp_path, monkeypatch
):
    work = tmp_path / "work"
    fit_small(TWO, names, small, work).save(tmp_path / "first")
    made = []
    make = FeatureTask._make

    def counted(task, path, key, names):
        made.append(path.name)
        return make(task, path, key, names)

    monkeypatch.setattr(FeatureTask, "_make", counted)
    (work / "000001.features.json").unlink()
    damaged = work / "000003.features.npy"
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\0\0\0\0")
    (work / ".000002.features.npy.partial-0123").write_bytes(b"half")
    fit_small(TWO, names, small, work).save(tmp_path / "again")
    assert made == ["000001.features.npy", "000003.features.npy"]
    assert files(tmp_path / "first") == files(tmp_path / "again")
    assert not list(work.glob(".*"))


def test_unreadable_images_are_all_named_or_left_out(parts, small, tmp_path, capsys):
    folder = tmp_path / "good"
    shutil.copytree(parts / "train/good", folder)
    names = sorted(map(str, folder.glob("*.png")))
    learned = [i.path for i in fit(names, small).record.images if not i.held_out]
    for bad in learned[2:4]:
        Path(bad).write_bytes(b"")
    with pytest.raises(FitError, match="2 images cannot be read") as error:
        fit_small(TWO, names, small, tmp_path / "work")
    assert all(bad in str(error.value) for bad in learned[2:4])
    fitted = fit_small(TWO, names, small, tmp_path / "work", skip_unreadable=True)
    assert len(fitted.record.images) == len(names) - 2
    assert capsys.readouterr().err.count("left out: ") == 2


def test_an_outlier_is_excluded_on_a_cluster_too(parts, small, tmp_path):
    folder = tmp_path / "good"
    shutil.copytree(parts / "train/good", folder)
    rng = np.random.default_rng(0)
    write_png(folder / "zz.png", rng.integers(0, 255, (160, 200, 3), np.uint8))
    names = sorted(map(str, folder.glob("*.png")))
    config = replace(small, exclude_outliers=1.5, seed=1)
    one, many = fit(names, config), fit_small(TWO, names, config, tmp_path / "work")
    excluded = [patch.path for patch in one.record.isolated if patch.excluded]
    assert excluded
    assert excluded == [patch.path for patch in many.record.isolated if patch.excluded]
    assert len(many.kept.features) == len(one.kept.features)


def test_each_image_is_left_out_in_turn_on_a_cluster_too(parts, small, names, tmp_path):
    config = replace(small, calibration="leave-one-out")
    one, many = fit(names, config), fit_small(TWO, names, config, tmp_path / "work")
    assert many.calibration.images == len(names)
    for a, b in zip(one.record.images, many.record.images, strict=True):
        assert b.left_out_score == pytest.approx(a.left_out_score, rel=2e-2)


def test_a_copy_of_an_image_that_was_learned_from_is_told(parts, small, tmp_path):
    folder = tmp_path / "good"
    shutil.copytree(parts / "train/good", folder)
    names = sorted(map(str, folder.glob("*.png")))
    images = fit(names, small).record.images
    held_out = next(i.path for i in images if i.held_out)
    shutil.copy(next(i.path for i in images if not i.held_out), held_out)
    with pytest.warns(EdgeADWarning, match="1 of 2 images that set the threshold are copies"):
        fit_small(TWO, names, small, tmp_path / "work")


def test_a_composable_bank_covers_less_well_and_says_so(names, small, tmp_path):
    exact = fit_small(TWO, names, small, tmp_path / "work")
    composable = fit_small(TWO, names, replace(small, coreset="composable"), tmp_path / "work")
    assert len(composable.kept.features) == len(exact.kept.features)
    assert composable.record.certificate.ratio >= 2
    radii = [f.record.certificate.covering_radius for f in (exact, composable)]
    assert radii[0] <= 2 * radii[1] <= 8 * radii[0]


def test_images_at_a_url_are_read_there(parts, small, tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    from edge_ad.images.named import list_named

    store = fsspec.filesystem("memory")
    for path in (parts / "train/good").glob("*.png"):
        store.pipe_file(f"/line3/{path.name}", path.read_bytes())
    store.pipe_file("/line3/notes.txt", b"no image")
    names = list_named("memory://line3")
    assert len(names) == 12
    fitted = fit_small(TWO, names, small, tmp_path / "work")
    assert fitted.record.images[0].path == "memory:///line3/000.png"
    with pytest.raises(FitError, match="memory://nothing: cannot be listed"):
        list_named("memory://nothing")


SMALL_PADIM = PadimConfig(weights="untrained", layers=(1, 2), size=(64, 80), dimensions=6)


@pytest.mark.parametrize("dimensions", [6, 60], ids=["many images", "few images"])
@pytest.mark.parametrize("calibration", ["leave-one-out", "split"])
def test_padims_gaussians_are_those_of_one_machine(names, tmp_path, dimensions, calibration):
    config = replace(SMALL_PADIM, dimensions=dimensions, calibration=calibration)
    one, many = fit(names, config), fit_small(TWO, names, config, tmp_path / "work")
    assert many.record.images[0].sha256 == one.record.images[0].sha256
    assert np.allclose(many.kept.mean, one.kept.mean, atol=1e-5)
    assert many.kept.factors.shape == one.kept.factors.shape
    assert [i.held_out for i in many.record.images] == [i.held_out for i in one.record.images]
    assert many.left_out_scores == pytest.approx(one.left_out_scores, rel=1e-2)


def test_padim_names_all_images_that_cannot_be_read(parts, tmp_path):
    folder = tmp_path / "good"
    shutil.copytree(parts / "train/good", folder)
    for bad in ("002.png", "007.png"):
        (folder / bad).write_bytes((folder / bad).read_bytes()[:50])
    names = sorted(map(str, folder.glob("*.png")))
    with pytest.raises(FitError, match=r"2 images cannot be read: .*002\.png.*007\.png"):
        fit_small(TWO, names, SMALL_PADIM, tmp_path / "work")
    fitted = fit_small(TWO, names, SMALL_PADIM, tmp_path / "work", skip_unreadable=True)
    assert len(fitted.record.images) == 10


@pytest.mark.parametrize(
    "config",
    [SpadeConfig(), replace(SMALL_PADIM, reduction="pca"), PatchCoreConfig(subsampler="random")],
)
def test_what_a_cluster_cannot_do_is_refused(names, tmp_path, config):
    with pytest.raises(ConfigError, match="on a cluster it must be"):
        fit_small(TWO, names, config, tmp_path / "work")
