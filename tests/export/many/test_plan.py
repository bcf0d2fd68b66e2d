import shutil

import pytest

from edge_ad import PadimConfig, PatchCoreConfig
from edge_ad_export.many.plan import read_plan
from edge_ad_runtime.errors import ConfigError

PLAN = """
[defaults]
size = "64x80"
seed = 3

[[part]]
name = "lid"
good = "lid/good"

[[part]]
name = "plate"
good = "plate"
test = "labelled"

[[setting]]
name = "small"
coreset_fraction = 0.02
layers = [1, 2]
export = { precision = "int8" }

[[setting]]
name = "padim"
method = "padim"
size = 96
gpus = 0.5
"""


def plan(folder, text=PLAN):
    path = folder / "parts.toml"
    path.write_text(text)
    return read_plan(path)


def test_a_cell_is_a_part_with_settings(tmp_path):
    cells = plan(tmp_path)
    assert [cell.name for cell in cells] == ["lid.small", "lid.padim", "plate.small", "plate.padim"]
    small, padim = cells[2].setting, cells[3].setting
    expected = PatchCoreConfig(size=(64, 80), seed=3, coreset_fraction=0.02, layers=(1, 2))
    assert small.fit == expected
    assert small.export.precision == "int8"
    assert padim.fit == PadimConfig(size=(96, 96), seed=3)
    assert padim.gpus == 0.5
    assert cells[2].part.test == tmp_path / "labelled"
    assert cells[0].part.test is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("coreset_fraction", "coreset_fracton", "unknown key 'coreset_fracton'; known are"),
        ("0.02", "2", "setting small: coreset_fraction is 2; it must be"),
        ('"padim"\nsize', '"pdim"\nsize', "method is 'pdim'; known are"),
        ('"64x80"', '"big"', "neither a number nor HEIGHTxWIDTH"),
        ('"int8"', '"int4"', "setting small: precision is 'int4'"),
        ('name = "plate"', 'name = "../plate"', "it must be of letters"),
        ('name = "plate"', 'name = "lid"', "two of the parts are named 'lid'"),
        ('good = "plate"', 'god = "plate"', "part plate: unknown key 'god'"),
        ("gpus = 0.5", "gpus = -1", "gpus is -1"),
        ("[[setting]]", "[[seting]]", "unknown key 'seting'"),
        ("[defaults]", "[defaults", "cannot be read"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path, old, new, message):
    assert old in PLAN
    with pytest.raises(ConfigError) as error:
        plan(tmp_path, PLAN.replace(old, new))
    assert message in str(error.value)
    assert "parts.toml" in str(error.value)


def test_the_key_is_of_images_settings_and_versions(parts, tmp_path):
    shutil.copytree(parts / "train/good", tmp_path / "lid/good")
    (lid, other, *_) = plan(tmp_path)
    key = lid.key
    assert key != other.key
    assert plan(tmp_path)[0].key == key
    assert plan(tmp_path, PLAN.replace("0.02", "0.03"))[0].key != key
    assert plan(tmp_path, PLAN.replace("int8", "fp16"))[0].key != key
    image = tmp_path / "lid/good/000.png"
    image.write_bytes(image.read_bytes() + b"\0")
    assert plan(tmp_path)[0].key != key
