"""Graphs that could hang or read other files, under the right hash."""

import struct

import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.graph_check import check_graph
from edge_ad_runtime.errors import ArtifactError

VALUES = "reference/values.npz"
HEADER = struct.Struct("<6QiI3QdQ")  # of hnswlib's file


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf, of fewer than 128 bytes."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def node(op_type: str, attribute: bytes) -> bytes:
    return field(7, field(1, field(4, op_type.encode()) + field(5, attribute)))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (node("Loop", field(6, b"")), "a graph within Loop, which could run for ever"),
        (node("Scan", field(11, b"")), "a graph within Scan"),
        (node("Constant", field(5, b"\x70\x01")), "reads tensors from other files"),
        (field(7, field(5, field(13, b""))), "reads tensors from other files"),
        (field(7, field(5, b"\x70\x01")), "reads tensors from other files"),
        (b"\xca\x01\x00", "defines functions"),
        (field(7, b"\x7a\x00"), "sparse tensors"),
        (b"\x3a\x80", "ends inside a number"),
        (b"\x3a\x7f", "ends inside a field"),
        (b"\x3b", "a field of kind 3"),
        (b"\x38\x01", "a number where a message belongs"),
        (b"\xff" * 11, "more than 64 bits"),
    ],
)
def test_a_graph_that_could_hang_or_read_other_files_is_refused(graph, message):
    with pytest.raises(ValueError, match=message):
        check_graph(graph)


def test_the_exported_graph_passes_and_a_hostile_one_does_not_reach_the_engine(artifact, reseal):
    check_graph((artifact / GRAPH).read_bytes())
    reseal(GRAPH, node("Loop", field(6, b"")))
    with pytest.raises(ArtifactError, match="which could run for ever; export again"):
        Detector.load(artifact)
