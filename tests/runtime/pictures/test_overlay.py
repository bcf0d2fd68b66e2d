from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_an_overlay_shows_where_the_defect_is(tiny):
    import numpy as np

    from edge_ad_runtime.images import read_image
    from edge_ad_runtime.pictures.overlay import draw_overlay

    detector = Detector.load(tiny)
    image = read_image(tiny / "reference/0-stain.png")
    picture = draw_overlay(image, detector.predict(image), detector.manifest.preprocessing)
    assert picture.shape == (256 + 30, 2 * 320, 3)
    left, right = picture[30:, :320].astype(int), picture[30:, 320:].astype(int)
    assert np.array_equal(left, image)
    assert np.abs(right - left).max() > 50


def test_an_overlay_darkens_what_was_not_inspected(tiny):
    import numpy as np

    from edge_ad_runtime.images.preprocess import Preprocessing
    from edge_ad_runtime.pictures.overlay import draw_overlay

    image = np.full((60, 120, 3), 90, np.uint8)
    prediction = Detector.load(tiny).predict(image)
    cut = Preprocessing(size=(64, 80), resize_px=80)
    right = draw_overlay(image, prediction, cut)[30:, 120:]
    assert (right[:, :10] == 30).all()
