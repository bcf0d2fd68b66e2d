import struct

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


def test_exif_orientation_is_applied():
    jpeg = encode(".jpg", RGB)
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn clockwise
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert np.array_equal(decode_image(turned), np.rot90(decode_image(jpeg), -1))


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


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "no.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(path)


def test_paths_may_have_spaces_and_letters_of_any_script(tmp_path):
    path = tmp_path / "линия 3" / "部品 ü.png"
    write_png(path, RGB)
    assert np.array_equal(read_image(path), RGB)
