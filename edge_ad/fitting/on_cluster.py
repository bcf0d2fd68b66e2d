"""`fit_on`: what `edge_ad.fit` does, with the work and the features on a cluster."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge_ad.compute import Cluster, in_order
from edge_ad.features.tasks import TASK_IMAGES
from edge_ad.fitting.fitted import SCHEMA, FitImage, FitRecord, FittedDetector
from edge_ad.fitting.fitting import (
    KEPT_ORIGINALS,
    KEPT_PREPROCESSED,
    calibration_of,
    check_scores,
    draw,
    split,
    versions,
)
from edge_ad.images.named import decode_named, preprocessed, read_named
from edge_ad.methods import Lowered, load_method
from edge_ad.methods.judge import Judge
from edge_ad.methods.on_cluster import LearnedOnCluster, WorkSettings, load_learn_on
from edge_ad.methods.settings import FitSettings
from edge_ad.networks.run import Run, TorchRun
from edge_ad_runtime.errors import EdgeADWarning
from edge_ad_runtime.progress import ProgressBar

_JUDGED_AT_ONCE = 32


def fit_on(
    cluster: Cluster,
    names: Sequence[str],
    config: FitSettings,
    work: Path,
    *,
    task_images: int = TASK_IMAGES,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> tuple[FittedDetector, tuple[str, ...]]:
    """Learn what good looks like on a cluster.

    On the same images it learns what `edge_ad.fit` learns, to within the rounding of float32.

    Args:
        cluster: from `edge_ad.compute.connect`.
        names: good images: paths that all machines reach, or URLs.
        config: the settings of PatchCore or PaDiM.
        work: a folder that all machines reach, for the features. A second start goes on from there.
        task_images: how many images one task has, a multiple of 8.
        skip_unreadable: leave out images to learn from that cannot be read. Otherwise they are an
            error.
        progress: show bars on stderr.

    Returns:
        What was learned, and what was measured meanwhile, in lines for people.

    Raises:
        ConfigError: the settings cannot work on a cluster, or with so many images.
        FitError: images cannot be read, or numbers are not finite.
        ClusterError: machines die again and again.

    Warns:
        EdgeADWarning: images that set the threshold are copies of others that were learned from.
    """
    config = config.resolved()
    learn_on = load_learn_on(config.method)
    drawn = draw(sorted(names), config)
    # whether two images show the same part is not looked for: copies are, once they have been read
    learned_from, held_out = (
        [drawn[row] for row in rows] for rows in split(np.arange(len(drawn)), config)
    )
    is_leave_one_out = config.resolved_calibration == "leave-one-out"
    check_scores(len(learned_from if is_leave_one_out else held_out), config)
    settings = WorkSettings(
        folder=work, task_images=task_images, skip_unreadable=skip_unreadable, progress=progress
    )
    learned = learn_on(cluster, learned_from, config, settings)
    scored = _scored(cluster, learned, held_out, config, progress=progress)
    images = [
        *_learned_from(learned),
        *(
            FitImage(path=name, sha256=sha256, held_out=True, left_out_score=score)
            for name, (sha256, score) in zip(held_out, scored, strict=True)
        ),
    ]
    shown = (held_out or [image.name for image in learned.images])[:KEPT_PREPROCESSED]
    contents = [read_named(name) for name in shown]
    _warn_of_copies(images)
    fitted = FittedDetector(
        config=config,
        record=FitRecord(
            schema=SCHEMA,
            method=config.method,
            calibration=calibration_of(images, config),
            images=tuple(sorted(images, key=lambda image: image.path)),
            isolated=learned.gathered.isolated,
            versions=versions(),
            certificate=learned.gathered.certificate,
        ),
        state=learned.network.state_dict(),
        kept=learned.gathered.kept,
        held_out=np.stack(
            [
                preprocessed(name, data, config.preprocessing)
                for name, data in zip(shown, contents, strict=True)
            ]
        ),
        originals=tuple(
            decode_named(name, data)
            for name, data in zip(shown[:KEPT_ORIGINALS], contents, strict=False)
        ),
    )
    return fitted, learned.notes


def _warn_of_copies(images: list[FitImage]) -> None:
    """Warn of copies of what was learned from: their scores are too low for new parts."""
    times_learned = Counter(image.sha256 for image in images if not image.held_out)
    left_out = [image for image in images if image.left_out_score is not None]
    # left out of what was learned: held out, or counted once
    copies = [i.path for i in left_out if times_learned[i.sha256] > (0 if i.held_out else 1)]
    if copies:
        warnings.warn(
            f"{len(copies)} of {len(left_out)} images that set the threshold are copies of images "
            f"that were learned from ({copies[0]} is one), so that it may be too low and the rate "
            "means less; remove copies and fit again",
            EdgeADWarning,
            stacklevel=3,
        )


def _learned_from(learned: LearnedOnCluster) -> Iterator[FitImage]:
    """The images that were learned from, with the scores that they have without themselves."""
    left_out = learned.gathered.left_out
    scores = [math.nan] * len(learned.images) if left_out is None else left_out.tolist()
    for image, score in zip(learned.images, scores, strict=True):
        yield FitImage(
            path=image.name,
            sha256=image.sha256,
            held_out=False,
            left_out_score=None if math.isnan(score) else score,
        )


def _scored(
    cluster: Cluster,
    learned: LearnedOnCluster,
    names: Sequence[str],
    config: FitSettings,
    *,
    progress: bool,
) -> list[tuple[str, float]]:
    """The SHA-256 and the score of each image that is held out."""
    method = load_method(config.method)
    lowered = method.lower(learned.network, learned.gathered.kept, config)
    score = partial(_score, run=TorchRun(learned.network), lowered=lowered, config=config)
    parts = [names[i : i + _JUDGED_AT_ONCE] for i in range(0, len(names), _JUDGED_AT_ONCE)]
    with ProgressBar[None](
        total=len(names), desc="threshold", unit="image", disable=not progress
    ) as bar:
        found = in_order(cluster.map(score, parts), lambda n: bar.update(len(parts[n])))
    return [each for of_part in found for each in of_part]


def _score(
    names: Sequence[str], *, run: Run, lowered: Lowered, config: FitSettings
) -> list[tuple[str, float]]:
    judge = Judge(run, lowered, config.size)
    found = []
    for name in names:
        data = read_named(name)
        score = judge.score(preprocessed(name, data, config.preprocessing))
        found.append((hashlib.sha256(data).hexdigest(), score))
    return found
