"""One network of an artifact with its head, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.artifact.schema import Member
from edge_ad_runtime.engines import Engine, Graph, open_engine
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.heads import Arrays, Head, Judged, Opening, Slices, open_head
from edge_ad_runtime.options import RunOptions


def artifact_graph(artifact: Artifact, record: Member) -> Graph:
    """The verified graph of a member's network.

    Raises:
        ArtifactError: see `Artifact.graph`.
    """
    network = record.network
    data = None if network.data is None else record.file(network.data)
    return Graph(
        onnx=artifact.graph(record.file(network.file), data),
        precision=network.precision,
        plans=artifact.plans,
        data_sha256=None if data is None else artifact.manifest.files[data].sha256,
    )


@dataclass(frozen=True)
class MemberFiles:
    """`HeadFiles` of one member."""

    artifact: Artifact
    record: Member

    def array(self, name: str, expected: Shaped) -> NDArray[Any]:
        """See `HeadFiles.array`."""
        return self.artifact.array(self.record.file(name), expected)

    def slices(self, name: str, expected: Shaped) -> Slices:
        """See `HeadFiles.slices`."""
        return self.artifact.slices(self.record.file(name), expected)

    def read(self, name: str) -> NDArray[np.uint8]:
        """See `HeadFiles.read`."""
        return self.artifact.read(self.record.file(name))

    def path(self, name: str) -> Path:
        """See `HeadFiles.path`."""
        return self.artifact.folder / self.record.file(name)


class LoadedMember:
    """One network with its head.

    Attributes:
        record: what the manifest says of the member.
        engine: the engine that runs the network.
        head: the head that the network's outputs are given to.
    """

    def __init__(self, record: Member, engine: Engine, head: Head, graph: Path) -> None:
        self.record = record
        self.engine = engine
        self.head = head
        self._graph = graph  # for messages

    @classmethod
    def load(cls, artifact: Artifact, record: Member, options: RunOptions) -> LoadedMember:
        """Load one member. See `edge_ad_runtime.Detector.load`."""
        manifest = artifact.manifest
        threshold = manifest.calibration.threshold * record.scale
        opening = Opening(
            size=manifest.preprocessing.size,
            threshold=threshold,
            map_above=threshold if len(manifest.members) == 1 else None,
            threads=options.threads,
            exact=options.search == "exact",
        )
        name = record.file(record.network.file)
        graph = artifact_graph(artifact, record)
        head = open_head(record.head, MemberFiles(artifact, record), opening)
        try:
            _check_outputs(record, head, artifact.folder / name)
            engine = open_engine(options.engine, graph, threads=options.threads)
        except EdgeADError:
            head.close()
            raise
        return cls(record, engine, head, artifact.folder / name)

    def run(self, images: NDArray[np.uint8]) -> Sequence[Arrays]:
        """The network's outputs for preprocessed images ``(N, H, W, 3)``, image by image.

        Raises:
            ArtifactError: the outputs are not what the manifest says.
        """
        found = self.engine.run(images)
        for name, output in self.record.network.outputs.items():
            self._check(name, found.get(name), (len(images), *output.shape), output.dtype)
        return [{name: value[i] for name, value in found.items()} for i in range(len(images))]

    def judge(self, outputs: Arrays, *, with_map: bool) -> Judged:
        """What the head says of one image. See `edge_ad_runtime.heads.Head.judge`."""
        return self.head.judge(outputs, with_map=with_map)

    def close(self) -> None:
        """Give back the engine's and the head's threads and memory."""
        self.engine.close()
        self.head.close()

    def _check(self, name: str, found: Any, shape: tuple[int, ...], dtype: str) -> None:
        if not isinstance(found, np.ndarray):
            what = "no output" if found is None else f"a {type(found).__name__} as"
            raise ArtifactError(f"gives {what} {name}; export again", path=self._graph)
        if found.shape != shape or found.dtype != dtype:
            raise ArtifactError(
                f"gives {found.dtype} {name} of shape {found.shape}, the manifest says {dtype} "
                f"{shape}; the two come from different exports, export again",
                path=self._graph,
            )


def _check_outputs(record: Member, head: Head, graph: Path) -> None:
    """Refuse a network whose outputs are not those that its head needs."""
    given = {
        name: Shaped(np.dtype(output.dtype).type, output.shape)
        for name, output in record.network.outputs.items()
    }
    for name, needed in head.outputs.items():
        if given.get(name) != needed:
            raise ArtifactError(
                f"the manifest says that it gives {name} as {given.get(name)}, and the head "
                f"{record.head.kind} needs {needed}; export again",
                path=graph,
            )
