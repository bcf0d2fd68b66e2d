"""PatchCore's bank of images that are spread over many machines: `PatchCore` with other means.

The steps are those of `PatchCore.train` and `PatchCore.gather`. Each is a map over tasks of some
hundred images, or workers that hold shards. What this process holds is records, the rows of one
round, and at the end the bank.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad.compute import Cluster, in_order
from edge_ad.features.certificate import of_greed
from edge_ad.features.composable import composable_coreset
from edge_ad.features.coreset import Selection
from edge_ad.features.file_rows import FileRows
from edge_ad.features.isolation import (
    CANDIDATES,
    IsolatedPatch,
    ranked,
    rows_kept,
    to_other_images,
)
from edge_ad.features.moments import Sums, shift_of, sums
from edge_ad.features.patches import PatchFeatures, build_network
from edge_ad.features.projection import DIMENSIONS, drawn
from edge_ad.features.sharded import sharded_coreset
from edge_ad.features.tasks import (
    FeatureRecord,
    FeatureTask,
    ProjectionTask,
    TaskFolder,
    digest,
    remove_leftovers,
)
from edge_ad.features.whitening import Whitening, whiten, whitening_of
from edge_ad.methods import Gathered
from edge_ad.methods.on_cluster import LearnedOnCluster, WorkSettings, refuse_unreadable
from edge_ad.methods.patchcore.bank import Bank, bank_of, bank_rows
from edge_ad.methods.patchcore.left_out import can_leave_out, scores_by_others
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.run import TorchRun
from edge_ad.networks.weights import fingerprint
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.progress import ProgressBar


def learn_on(
    cluster: Cluster, names: Sequence[str], settings: PatchCoreConfig, work: WorkSettings
) -> LearnedOnCluster:
    """See `edge_ad.methods.on_cluster.LearnOn`. The subsampler must be greedy."""
    progress = work.progress
    if settings.subsampler != "greedy":
        raise ConfigError(
            f"subsampler is {settings.subsampler!r}; on a cluster it must be 'greedy'"
        )
    network = build_network(settings)
    folder = _made(work.folder)
    records = _features(cluster, network, names, settings, folder, work)
    unreadable = [line for record in records for line in record.unreadable]
    some = any(record.images for record in records)
    refuse_unreadable(unreadable, are_skipped=some and work.skip_unreadable)
    everything = _FileSet(folder, records)
    if settings.resolved_whiten:
        network.whitening = whitening_of(_sums(cluster, everything, progress=progress).moments())
    planned = len(names) * everything.per_image
    _project(cluster, everything, network.whitening, settings, planned, progress=progress)
    isolated, kept = None, everything
    if settings.exclude_outliers is not None:
        candidates = _first_picks(cluster, everything, settings)
        isolated = _isolated(cluster, everything, candidates, network.whitening, settings)
        kept = everything.only(rows_kept(isolated, everything.names))
    n_select = bank_rows(len(kept.projected), settings)
    selection, note = _coreset(cluster, kept.projected, n_select, settings, progress=progress)
    if isolated is None:
        count = min(CANDIDATES, len(kept.projected))
        enough = n_select >= count  # the first of the bank are the first of any number
        candidates = selection.rows[:count] if enough else _first_picks(cluster, kept, settings)
        isolated = _isolated(cluster, kept, candidates, network.whitening, settings)
    chosen = whiten(kept.features[selection.rows], network.whitening)
    images = selection.rows // everything.per_image
    bank = bank_of(chosen, everything.grid, settings, images=images, progress=progress)
    left_out = None
    if settings.resolved_calibration == "leave-one-out":
        left_out = _left_out(cluster, kept, bank, network.whitening, settings, progress=progress)
    return LearnedOnCluster(
        network=network,
        gathered=Gathered(
            kept=bank,
            certificate=of_greed(selection, kept.features.width),
            left_out=left_out,
            isolated=tuple(isolated),
        ),
        images=tuple(image for record in records for image in record.images),
        notes=(note,),
    )


class _FileSet:
    """The files of all tasks, seen as rows."""

    def __init__(
        self,
        folder: TaskFolder,
        records: Sequence[FeatureRecord],
        images: Sequence[tuple[int, ...]] | None = None,
    ) -> None:
        self.folder = folder
        self.records = records
        self.names = [image.name for record in records for image in record.images]
        self.grid = records[0].grid
        self.per_image = self.grid[0] * self.grid[1]
        counted = images or [tuple(range(len(record.images))) for record in records]
        width = records[0].dimension
        numbers = range(len(records))
        self.features = FileRows(
            tuple(map(folder.features, numbers)), tuple(counted), self.per_image, width
        )
        self.projected = FileRows(
            tuple(map(folder.projected, numbers)),
            tuple(counted),
            self.per_image,
            min(width, DIMENSIONS),
        )

    def only(self, kept: Iterable[int]) -> _FileSet:
        """The same files, with some of all images alone."""
        wanted, images, first = set(kept), [], 0
        for record in self.records:
            count = len(record.images)
            images.append(tuple(i for i in range(count) if first + i in wanted))
            first += count
        return _FileSet(self.folder, self.records, images)

    @property
    def firsts(self) -> list[int]:
        """The number of the first image of each task."""
        counts = [len(record.images) for record in self.records]
        return [sum(counts[:number]) for number in range(len(counts))]


def _made(work: Path) -> TaskFolder:
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise FitError(f"{work}: cannot be made: {exc.strerror}") from exc
    folder = TaskFolder(work.resolve())
    remove_leftovers(folder)
    return folder


def _features(
    cluster: Cluster,
    network: PatchFeatures,
    names: Sequence[str],
    settings: PatchCoreConfig,
    folder: TaskFolder,
    work: WorkSettings,
) -> list[FeatureRecord]:
    task = FeatureTask(
        run=TorchRun(network),
        preprocessing=settings.preprocessing,
        folder=folder,
        network_key=digest(
            fingerprint(network.backbone.state_dict()),
            *map(str, (settings.patch_size, settings.stride, settings.resolved_aggregated_dim)),
            *map(str, (settings.resolved_backbone, settings.layers, settings.taps)),
        ),
    )
    size = work.task_images
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    with ProgressBar[None](
        total=len(names), desc="features", unit="image", disable=not work.progress
    ) as bar:
        done = in_order(cluster.map(task, enumerate(parts)), lambda n: bar.update(len(parts[n])))
    return done


def _sums(cluster: Cluster, files: _FileSet, *, progress: bool) -> Sums:
    shift = shift_of(files.features)
    parts = files.features.cut(len(files.records))
    with ProgressBar[None](
        total=len(parts), desc="whitening", unit="task", disable=not progress
    ) as bar:
        found = in_order(cluster.map(partial(sums, shift=shift), parts), lambda n: bar.update())
    return reduce(add, found)


def _project(
    cluster: Cluster,
    files: _FileSet,
    whitening: Whitening | None,
    settings: PatchCoreConfig,
    planned: int,
    *,
    progress: bool,
) -> None:
    rng = np.random.default_rng(settings.seed)
    rng.integers(planned)  # what the coreset of one machine draws first
    onto = drawn(files.features.width, files.features.dtype, DIMENSIONS, rng)
    task = ProjectionTask(folder=files.folder, onto=onto, whitening=whitening)
    items = enumerate(files.records)
    with ProgressBar[None](
        total=len(files.records), desc="projection", unit="task", disable=not progress
    ) as bar:
        in_order(cluster.map(task, items), lambda n: bar.update())


def _first_picks(cluster: Cluster, files: _FileSet, settings: PatchCoreConfig) -> NDArray[np.int64]:
    """The rows that greed takes first, among which isolated patches are looked for."""
    count = min(CANDIDATES, len(files.projected))
    shards = files.projected.cut(cluster.slots)
    selection, _ = sharded_coreset(cluster, shards, count, seed=settings.seed, projection_dim=None)
    return selection.rows


def _isolated(
    cluster: Cluster,
    files: _FileSet,
    rows: NDArray[np.int64],
    whitening: Whitening | None,
    settings: PatchCoreConfig,
) -> list[IsolatedPatch]:
    """The most isolated patches among candidates, by their rows: see `find_isolated`."""
    if len(files.names) < 2:
        return []
    candidates = whiten(files.features[rows], whitening)
    own = rows // files.per_image
    task = partial(_nearest_of_task, files=files, candidates=candidates, own=own, w=whitening)
    distances = np.min(in_order(cluster.map(task, range(len(files.records)))), axis=0)
    exclude_above = settings.exclude_outliers
    return ranked(rows, distances, files.grid, files.names, exclude_above=exclude_above)


def _nearest_of_task(
    number: int,
    *,
    files: _FileSet,
    candidates: NDArray[np.float32],
    own: NDArray[np.int64],
    w: Whitening | None,
) -> NDArray[np.float32]:
    """How near the images of one task come to each candidate."""
    rows = np.load(files.folder.features(number), mmap_mode="r")
    starts = range(0, len(rows), files.per_image)
    images = (whiten(np.array(rows[i : i + files.per_image]), w) for i in starts)
    return to_other_images(images, candidates, own, first=files.firsts[number])


def _coreset(
    cluster: Cluster,
    projected: FileRows,
    n_select: int,
    settings: PatchCoreConfig,
    *,
    progress: bool,
) -> tuple[Selection, str]:
    shards = projected.cut(cluster.slots)
    if settings.coreset == "composable":
        selection, traffic = composable_coreset(
            cluster, shards, n_select, seed=settings.seed, projection_dim=None
        )
    else:
        selection, traffic = sharded_coreset(
            cluster, shards, n_select, seed=settings.seed, projection_dim=None, progress=progress
        )
    moved = (traffic.received_bytes + traffic.sent_bytes) / 1e6
    rebuilt = f", {traffic.rebuilt} read again after a worker died" if traffic.rebuilt else ""
    return selection, (
        f"{settings.coreset} coreset: {len(shards)} shards{rebuilt}, {traffic.rounds} rounds, "
        f"{moved:.0f} MB moved"
    )


def _left_out(
    cluster: Cluster,
    kept: _FileSet,
    bank: Bank,
    whitening: Whitening | None,
    settings: PatchCoreConfig,
    *,
    progress: bool,
) -> NDArray[np.float64] | None:
    """The score of each of all images without its own rows of the bank: see `leave_one_out`."""
    assert bank.images is not None, "greedy rows are of images"
    if not can_leave_out(bank.images, settings):
        return None
    task = partial(_scores_of_task, files=kept, bank=bank, w=whitening, settings=settings)
    numbers = range(len(kept.records))
    with ProgressBar[None](
        total=len(numbers), desc="left out", unit="task", disable=not progress
    ) as bar:
        found = in_order(cluster.map(task, numbers), lambda n: bar.update())
    scores = np.full(len(kept.names), np.nan)  # of those that were excluded
    for first, images, of_task in zip(kept.firsts, kept.features.images, found, strict=True):
        scores[first + np.array(images, np.int64)] = of_task
    return scores


def _scores_of_task(
    number: int, *, files: _FileSet, bank: Bank, w: Whitening | None, settings: PatchCoreConfig
) -> NDArray[np.float64]:
    """The scores of the images of one task that count, without their own rows of the bank."""
    images = np.array(files.features.images[number], np.int64)
    before = sum(map(len, files.features.images[:number]))
    shape = (-1, *files.grid, files.features.width)
    rows = np.load(files.folder.features(number), mmap_mode="r").reshape(shape)[images]
    features = whiten(rows.reshape(-1, shape[-1]), w).reshape(shape)
    parts = np.arange(before, before + len(images))
    return scores_by_others(features, bank, parts, np.asarray(bank.images, np.int64), settings)
