import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_ad_runtime.errors import ImageError
from edge_ad_runtime.images import decode_image, read_image, write_png

RNG = np.random.default_rng(0)
RGB = cv2.GaussianBlur(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8), (0, 0), 2)
FORMATS = (".png", ".jpg", ".bmp", ".tiff", ".webp")


def encode(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    """RGB or grey pixels as a file's bytes."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_give_the_pixels_in_rgb_order(suffix):
    assert np.array_equal(decode_image(encode(suffix, RGB)), RGB)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_give_nearly_the_pixels(suffix):
    found = decode_image(encode(suffix, RGB)).astype(int)
    assert found.shape == RGB.shape
    assert np.abs(found - RGB).mean() < 8


def test_grey_becomes_three_equal_channels():
    found = decode_image(encode(".png", RGB[..., 0]))
    assert np.array_equal(found, np.repeat(RGB[..., :1], 3, axis=2))


def test_alpha_is_dropped():
    alpha = np.full((*RGB.shape[:2], 1), 7, np.uint8)
    assert np.array_equal(decode_image(encode(".png", np.concatenate([RGB, alpha], 2))), RGB)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_become_8_by_rounding(suffix):
    values = np.array([[0, 128, 129, 257, 32896, 65407, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 255, 255]
    assert decode_image(encode(suffix, values))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_truncation_is_refused(suffix):
    whole = encode(suffix, RGB)
    for length in [*range(0, 60), *range(60, len(whole), 37), len(whole) - 1]:
        if suffix == ".jpg" and length >= len(whole) - 2:
            continue  # only the end marker is cut: every pixel is there
        with pytest.raises(ImageError):
            decode_image(whole[:length])


@pytest.mark.parametrize("suffix", FORMATS)
def test_flipped_bits_never_crash_and_never_change_the_shape(suffix):
    whole = bytearray(encode(suffix, RGB))
    for at in RNG.integers(0, len(whole), 150):
        damaged = whole.copy()
        damaged[at] ^= 1 << int(RNG.integers(8))
        try:
            found = decode_image(bytes(damaged), max_pixels=10_000)
        except ImageError:
            continue
        assert found.dtype == np.uint8
        assert found.ndim == 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_too_many_pixels_are_refused_from_the_header(suffix):
    with pytest.raises(ImageError, match=r"30 x 40 = 1,200 pixels, more than the 1,199"):
        decode_image(encode(suffix, RGB), max_pixels=1199)


def test_lossless_webp_header_is_read_too():
    webp = encode(".webp", RGB, cv2.IMWRITE_WEBP_QUALITY, 101)
    assert np.array_equal(decode_image(webp, max_pixels=1200), RGB)
    with pytest.raises(ImageError, match="30 x 40"):
        decode_image(webp, max_pixels=1199)


def test_a_decompression_bomb_is_refused_without_decoding_it():
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 2**31 - 1, 2**31 - 1)
    with pytest.raises(ImageError, match="more than the 100,000,000 allowed"):
        decode_image(header + bytes(5))


@pytest.mark.parametrize("length", [2**31 - 1, 2**32 - 1, 10**6])
def test_a_png_chunk_longer_than_the_file_is_refused_without_room_for_it(length):
    """OpenCV made room first, and filled it: 5 s, or for ever."""
    data = bytearray(encode(".png", RGB))
    struct.pack_into(">I", data, data.index(b"IDAT") - 4, length)
    with pytest.raises(ImageError, match=f"a chunk of {length:,} bytes, which are not there"):
        decode_image(bytes(data))


def test_floating_point_pixels_are_refused():
    with pytest.raises(ImageError, match="float32 pixels; save it with 8 or 16 bits"):
        decode_image(encode(".tiff", RGB.astype(np.float32)))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"hello, I am a text file", "not a PNG"), (b"\xff\xd8\xff", "header")],
)
def test_what_is_no_image_is_refused_with_its_path(tmp_path, content, message):
    path = tmp_path / "part.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("shape", [(3000, 500), (3000, 500, 3), (3000, 500, 4)])
def test_16_bit_pixels_take_no_more_memory_than_is_said(shape, tmp_path):
    """In a process of its own: a high-water mark never falls."""
    path = tmp_path / "wide.png"
    path.write_bytes(encode(".png", np.zeros(shape, np.uint16)))
    code = (
        "import resource, sys; import numpy as np; from pathlib import Path\n"
        "from edge_ad_runtime.images import read_image\n"
        "from edge_ad_runtime.images.folder import write_png\n"
        "write_png(Path(sys.argv[2]), np.zeros((9, 9, 3), np.uint8)); read_image(sys.argv[2])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); read_image(sys.argv[1]); print(peak() - before)"
    )
    command = [sys.executable, "-c", code, path, tmp_path / "small.png"]
    grown = int(subprocess.check_output(command, text=True))
    assert grown <= 16 * 3000 * 500 + path.stat().st_size + 2_000_000


def test_a_header_that_is_not_what_was_decoded_is_refused(monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.images.decode.image_size", lambda data: (30, 41))
    with pytest.raises(ImageError, match="the header says 30 x 41 pixels, it holds 30 x 40"):
        decode_image(encode(".png", RGB))


def test_a_compressed_bmp_is_refused():
    data = bytearray(encode(".bmp", RGB))
    data[30] = 1  # RLE8
    with pytest.raises(ImageError, match="compressed BMP, in which missing pixels pass unseen"):
        decode_image(bytes(data))


def test_the_older_header_of_a_bmp_holds_its_size_elsewhere():
    rows = RGB[::-1, :, ::-1].tobytes()  # 40 pixels of three bytes: no padding
    header = struct.pack("<2sIHHIIHHHH", b"BM", 26 + len(rows), 0, 0, 26, 12, 40, 30, 1, 24)
    assert np.array_equal(decode_image(header + rows), RGB)
    with pytest.raises(ImageError, match="30 x 40"):
        decode_image(header + rows, max_pixels=1199)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a FIFO, not a plain file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a plain file"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere.png"), "No such file"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 2**40), "more than the"),
    ],
    ids=["fifo", "device", "loop", "dangling", "sparse"],
)
def test_what_is_no_plain_file_or_too_large_is_refused_at_once(tmp_path, make, message):
    path = tmp_path / "part.png"
    make(path)
    with pytest.raises(ImageError, match=message):
        read_image(path)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0l.png"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / name)


def test_a_png_that_cannot_be_written_whole_is_not_there(tmp_path, monkeypatch):
    def full(self, mode):
        assert mode == "wb"
        return open("/dev/full", "wb")  # noqa: PTH123  # not by the patched method

    monkeypatch.setattr(Path, "open", full)
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match="No space left on device"):
        write_png(tmp_path / "a.png", RGB)
    assert not (tmp_path / "a.png").exists()


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "no.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(path)


def test_paths_may_have_spaces_and_letters_of_any_script(tmp_path):
    path = tmp_path / "линия 3" / "部品 ü.png"
    write_png(path, RGB)
    assert np.array_equal(read_image(path), RGB)
