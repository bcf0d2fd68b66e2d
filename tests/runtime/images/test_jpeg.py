"""JPEG: the pixels that OpenCV decodes, and an error for whatever its decoder only warns of."""

import struct

import cv2
import numpy as np
import pytest
import simplejpeg

from edge_ad_runtime.errors import ImageError
from edge_ad_runtime.images import decode_image

RNG = np.random.default_rng(0)
RGB = cv2.GaussianBlur(RNG.integers(0, 256, (120, 200, 3), dtype=np.uint8), (0, 0), 1)
END = b"\xff\xd9"


def jpeg(pixels=RGB, *options: int) -> bytes:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(".jpg", bgr, options)[1].tobytes()


def by_opencv(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def after_start(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """The file with segments (marker, content) put in after its start of image."""
    added = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    return data[:2] + added + data[2:]


def exif(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


@pytest.mark.parametrize("sampling", [0x111111, 0x211111, 0x221111], ids=["444", "422", "420"])
@pytest.mark.parametrize("restart", [0, 3])
def test_a_sound_file_gives_the_very_pixels_of_opencv(sampling, restart):
    data = jpeg(
        RGB, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_RST_INTERVAL, restart
    )
    assert np.array_equal(decode_image(data), by_opencv(data))


def test_grey_gives_the_very_pixels_of_opencv():
    data = jpeg(RGB[..., 1])
    assert np.array_equal(decode_image(data), by_opencv(data))


def test_four_channels_are_converted_as_opencv_does_and_checked_too():
    inks = np.ascontiguousarray(np.dstack([RGB, RGB[..., 0] // 4]))
    data = simplejpeg.encode_jpeg(inks, colorspace="CMYK")
    assert np.array_equal(decode_image(data), by_opencv(data))
    with pytest.raises(ImageError, match="damaged"):
        decode_image(data[: len(data) // 2] + END)


@pytest.mark.parametrize("orientation", range(10))
def test_it_is_turned_as_opencv_turns_it(orientation):
    data = after_start(jpeg(), (0xE1, exif(orientation)))
    assert np.array_equal(decode_image(data), by_opencv(data))


@pytest.mark.parametrize("content", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\xff", b"http://ns.adobe"])
def test_exif_that_makes_no_sense_turns_nothing(content):
    assert np.array_equal(decode_image(after_start(jpeg(), (0xE1, content))), decode_image(jpeg()))


def test_a_file_cut_and_closed_is_refused_at_every_length():
    data = jpeg()
    scan = data.index(b"\xff\xda")
    for at in range(scan, len(data) - 3, 23):
        with pytest.raises(ImageError):
            decode_image(data[:at] + END)


@pytest.mark.parametrize("lost", [2048, 4096])
@pytest.mark.parametrize("restart", [0, 3])
def test_a_file_with_a_hole_is_refused(lost, restart):
    data = jpeg(RGB, cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    scan = data.index(b"\xff\xda") + 14
    for at in RNG.integers(scan, len(data) - lost - 2, 40):
        with pytest.raises(ImageError):
            decode_image(data[:at] + data[at + lost :])


def test_zeros_in_the_place_of_data_are_refused():
    data = jpeg()
    half = len(data) // 2
    with pytest.raises(ImageError, match="damaged"):
        decode_image(data[:half] + bytes(len(data) - half - 2) + END)


def test_a_progressive_file_is_refused_as_holes_in_it_pass_unseen():
    data = jpeg(RGB, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    with pytest.raises(ImageError, match="progressive.*baseline JPEG or, better, as PNG"):
        decode_image(data)


@pytest.mark.parametrize("marker", [0x01, 0xD0])
def test_a_marker_without_length_does_not_hide_the_frame_header(marker):
    """What follows was read as a length, which led past the header to a small one of a decoy."""
    data = jpeg()
    decoy = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 8, 8, 1) + b"\x01\x11\0"
    at_length = struct.unpack_from(">H", data, 2)[0]
    hidden = bytearray(data[:2] + bytes([0xFF, marker]) + data[2:])
    hidden[4 + at_length :] = decoy + hidden[4 + at_length :]
    with pytest.raises(ImageError, match="2 frame headers|more than the 1,000 allowed|damaged"):
        decode_image(bytes(hidden), max_pixels=1000)


def test_two_frame_headers_are_refused():
    frame = struct.pack(">BHHB", 8, 8, 8, 1) + b"\x01\x11\0"
    with pytest.raises(ImageError, match="2 frame headers, not 1"):
        decode_image(after_start(jpeg(), (0xC0, frame)))


@pytest.mark.parametrize(("marker", "kind"), [(0xC3, "lossless"), (0xC9, "arithmetic-coded")])
def test_kinds_that_are_not_read_are_named(marker, kind):
    data = jpeg().replace(b"\xff\xc0", bytes([0xFF, marker]), 1)
    with pytest.raises(ImageError, match=f"of the kind {kind}"):
        decode_image(data)


def test_what_stands_after_the_image_does_no_harm():
    assert np.array_equal(decode_image(jpeg() + b"\0" * 999), decode_image(jpeg()))
