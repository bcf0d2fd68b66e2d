"""TIFF: decoded to its own pixels, or refused."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from edge_ad_runtime.errors import ImageError
from edge_ad_runtime.images import decode_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
GREY = RGB[..., 1]
WIDE = RGB.astype("<u2") * 257
HEIGHT, WIDTH = GREY.shape
ALPHA = np.zeros((HEIGHT, WIDTH, 1), np.uint8)


def tiff(pixels: np.ndarray, order: str = "<", **changed: object) -> bytes:
    """A file of one strip, ``(H, W, channels)``; ``tag_262=0`` changes an entry, None drops it."""
    pixels = np.atleast_3d(pixels)
    height, width, channels = pixels.shape
    strip = pixels.tobytes()
    tags: dict[int, object] = {
        256: width, 257: height, 258: [8 * pixels.itemsize] * channels, 259: 1,
        262: 2 if channels >= 3 else 1, 273: 8, 277: channels, 278: height, 279: len(strip),
    }  # fmt: skip
    tags |= {int(name.removeprefix("tag_")): value for name, value in changed.items()}
    entries, beside = b"", b""
    at = 8 + len(strip)
    for tag, value in sorted(tags.items()):
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        kind, form = (4, "I") if tag in (256, 257, 273, 278, 279, 324, 325) else (3, "H")
        content = struct.pack(f"{order}{len(values)}{form}", *values)
        if len(content) > 4:
            content, beside = struct.pack(order + "I", at + len(beside)), beside + content
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + content.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(entries) // 12) + entries + bytes(4)
    return magic + struct.pack(order + "I", at + len(beside)) + strip + beside + directory


def deflated(pieces: list[bytes], order: str = "<", **changed: object) -> bytes:
    """`RGB` in pieces, each deflated, behind a directory of one strip or of what is changed."""
    packed = [zlib.compress(piece) for piece in pieces]
    offsets = [8 + sum(map(len, packed[:i])) for i in range(len(packed))]
    filling = np.frombuffer(b"".join(packed), np.uint8)
    sizes = [len(piece) for piece in packed]
    tags = {"tag_256": WIDTH, "tag_257": HEIGHT, "tag_258": [8] * 3, "tag_259": 8, "tag_262": 2,
            "tag_273": offsets, "tag_277": 3, "tag_278": HEIGHT, "tag_279": sizes}  # fmt: skip
    return tiff(filling[np.newaxis], order, **(tags | changed))


def in_strips(rows: int) -> list[bytes]:
    return [RGB[start : start + rows].tobytes() for start in range(0, HEIGHT, rows)]


def in_tiles(side: int) -> list[bytes]:
    room = ((0, -HEIGHT % side), (0, -WIDTH % side), (0, 0))
    padded = np.pad(RGB, room)
    return [
        padded[y : y + side, x : x + side].tobytes()
        for y in range(0, HEIGHT, side)
        for x in range(0, WIDTH, side)
    ]


TILED = {"tag_273": None, "tag_278": None, "tag_279": None, "tag_322": 16, "tag_323": 16}


def tiled() -> bytes:
    packed = [zlib.compress(tile) for tile in in_tiles(16)]
    offsets = [8 + sum(map(len, packed[:i])) for i in range(len(packed))]
    sizes = [len(piece) for piece in packed]
    return deflated(in_tiles(16), **TILED, tag_324=offsets, tag_325=sizes)


DEFLATED = {
    "one strip": deflated(in_strips(HEIGHT)),
    "older number": deflated(in_strips(HEIGHT), tag_259=32946),
    "big-endian": deflated(in_strips(HEIGHT), ">"),
    "strips": deflated(in_strips(7), tag_278=7),
    "no rows per strip": deflated(in_strips(HEIGHT), tag_278=None),
    "planes": deflated([RGB[..., i].tobytes() for i in range(3)], tag_284=2),
    "tiles": tiled(),
}


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., np.newaxis], 3, axis=2)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(RGB), RGB),
        (tiff(WIDE), RGB),
        (tiff(GREY), grey(GREY)),
        (tiff(GREY.astype("<u2") * 257), grey(GREY)),
        (tiff(GREY.astype(">u2") * 257, ">"), grey(GREY)),
        (tiff(255 - GREY, tag_262=0), grey(GREY)),
        (tiff(65535 - GREY.astype("<u2") * 257, tag_262=0), grey(GREY)),
        (tiff(np.dstack([RGB, ALPHA]), tag_338=2), RGB),
        (tiff(np.dstack([RGB, ALPHA]), ">", tag_338=2), RGB),
        (tiff(np.dstack([RGB, ALPHA]), tag_338=1), RGB),
        (tiff(np.dstack([RGB, ALPHA]), tag_338=0), RGB),
        (tiff(np.dstack([WIDE, ALPHA.astype("<u2")]), tag_338=2), RGB),
        (tiff(np.dstack([GREY, ALPHA[..., 0]]), tag_338=2), grey(GREY)),
        (tiff(RGB.transpose(2, 0, 1).reshape(HEIGHT, WIDTH, 3), tag_284=2, tag_278=HEIGHT,
              tag_273=[8 + i * GREY.size for i in range(3)], tag_279=[GREY.size] * 3), RGB),
    ],
    ids=["rgb", "rgb-16", "grey", "grey-16", "big-endian", "white-is-0", "white-is-0-16",
         "hidden-by-alpha", "hidden-by-alpha-big-endian", "premultiplied", "alpha-unspecified",
         "alpha-16", "grey-alpha", "planes"],
)  # fmt: skip
def test_it_is_decoded_to_its_own_pixels(data, expected):
    assert np.array_equal(decode_image(data), expected)


def test_16_bit_planes_are_refused_as_opencv_leaves_two_of_them_as_they_were_in_memory():
    planes = WIDE.transpose(2, 0, 1).reshape(HEIGHT, WIDTH, 3)
    offsets = [8 + 2 * i * GREY.size for i in range(3)]
    data = tiff(planes, tag_284=2, tag_273=offsets, tag_279=[2 * GREY.size] * 3)
    with pytest.raises(ImageError, match="separate planes; save its channels interleaved"):
        decode_image(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(GREY.view(np.int8), tag_339=2), "holds int8 pixels"),
        (tiff(GREY.astype("<i2"), tag_339=2), "holds int16 pixels"),
        (tiff(GREY.astype("<f2"), tag_339=3), "holds float16 pixels"),
        (tiff(GREY.astype("<f4"), tag_339=3), "holds float32 pixels"),
        (tiff(GREY.astype("<u4")), "32 bits per channel"),
        (tiff(GREY.astype("<u2"), tag_258=12), "12 bits per channel"),
        (tiff(GREY.astype("<u2"), tag_262=3), "photometric interpretation 3"),
        (tiff(np.dstack([RGB, ALPHA, ALPHA]), tag_338=[2, 2]), "2 extra channels"),
        (tiff(RGB, tag_259=7), "compression 7, in which losses may pass unseen"),
        (tiff(GREY, tag_256=None), "without width and height"),
        (tiff(GREY, tag_257=[30, 30]), "several widths or heights"),
        (tiff(GREY, tag_256=0), "says 30 x 0 pixels"),
    ],
)
def test_what_would_not_be_decoded_right_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        decode_image(data)


def with_entry(data: bytes, tag: int, entry: bytes) -> bytes:
    """The file with one directory entry in another's place."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            return data[:at] + entry + data[at + 12 :]
    raise AssertionError(tag)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (struct.pack("<HHII", 256, 16, 1, 8), "tag 256 is of type 16"),  # 64 bits, stands elsewhere
        (struct.pack("<HHII", 256, 4, 10**6, 8), "tag 256 is of type 4 and length 1000000"),
        (struct.pack("<HHII", 257, 4, 1, 8), "tag 257 twice"),
    ],
)
def test_a_size_that_could_be_read_in_two_ways_is_refused(entry, message):
    with pytest.raises(ImageError, match=message):
        decode_image(with_entry(tiff(GREY), 256, entry))


@pytest.mark.parametrize("cut", [1, 100, 1500])
def test_a_file_that_ends_early_is_refused(cut):
    data = cv2.imencode(".tiff", RGB, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    with pytest.raises(ImageError):
        decode_image(data[:-cut])


@pytest.mark.parametrize("kind", DEFLATED)
def test_a_deflated_file_is_decoded_to_its_own_pixels(kind):
    assert np.array_equal(decode_image(DEFLATED[kind]), RGB)


@pytest.mark.parametrize("kind", DEFLATED)
def test_a_deflated_file_with_a_wrong_checksum_is_refused(kind):
    """OpenCV drops the decoder's word that a checksum is wrong, and gives what was inflated."""
    data = DEFLATED[kind]
    for at in range(8, len(data) // 2, 13):  # the directory is behind that
        with pytest.raises(ImageError, match="not what its checksum says"):
            decode_image(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tag_256": WIDTH - 1}, "piece 0 is not what its checksum says"),
        ({"tag_257": HEIGHT - 1, "tag_278": HEIGHT - 1}, "piece 0 is not"),
        ({"tag_257": HEIGHT + 1}, "a TIFF of 1 pieces, its size makes 2"),
        ({"tag_278": 7}, "a TIFF of 1 pieces, its size makes 5"),
        ({"tag_279": 2**31}, "cannot be decoded"),
        ({"tag_279": 100}, "piece 0 is not"),
        ({"tag_273": 9}, "piece 0 is not"),
        ({"tag_273": None}, "without tag 273"),
        ({"tag_262": 6}, "YCbCr"),
        ({"tag_322": 1, "tag_323": 1, "tag_324": 8, "tag_325": 99}, "tiles of 1 x 1 pixels"),
    ],
)
def test_a_deflated_file_whose_header_is_damaged_is_refused(changed, message):
    with pytest.raises(ImageError, match=message):
        decode_image(deflated(in_strips(HEIGHT), **changed))


def test_a_piece_that_inflates_without_end_is_refused_before_it_does():
    bomb = deflated([RGB.tobytes() + bytes(300_000_000)])
    with pytest.raises(ImageError, match="piece 0 is not what its checksum says"):
        decode_image(bomb)
