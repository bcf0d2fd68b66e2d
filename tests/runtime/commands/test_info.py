import json

from click.testing import CliRunner

from edge_ad_runtime.commands.main import main


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_info_says_what_the_artifact_is(tiny):
    text = run("info", tiny).stdout
    assert "fp32, backbone resnet18, weights untrained, layers 1" in text
    assert "patchcore (patch-search)" in text
    assert "engine         onnxruntime" in text
    assert "hnsw" in text
    assert "not tuned: the artifact's search, all cores" in text
    record = json.loads(run("info", tiny, "--json").stdout)
    assert record["members"][0]["head"]["dimension"] == 64
    assert record["machine"]["cores"] >= 1
    assert record["runtime_version"]
    assert record["tuned"] is None


def test_info_says_how_well_the_bank_covers_good_parts(artifact, resign):
    assert "covers" not in run("info", artifact).stdout  # made before this was stated
    certificate = {"covering_radius": 3.5, "least_radius": 1.75, "dimensions": 64}
    resign(artifact, lambda m: m["members"][0]["head"]["bank"].update(certificate=certificate))
    assert (
        "covers         each good patch is within 3.5 of one in the bank, 2.00 times the least "
        "possible at most"
    ) in run("info", artifact).stdout


def test_info_says_what_a_reduced_precision_costs(artifact, resign):
    loss = {
        "images": 6, "stages": {"features": 0.01, "distances": 0.02}, "score_mean": 0.004,
        "score_worst": 0.012, "auroc_fp32": 0.991, "auroc": 0.9875, "accepted": True,
    }  # fmt: skip
    resign(artifact, lambda manifest: manifest.update(precision_loss=loss))
    assert (
        "precision loss scores off by 0.40%, worst 1.20%, against float32; image AUROC 0.9875, "
        "float32 0.9910; accepted by hand"
    ) in run("info", artifact).stdout


def test_info_says_what_tune_has_found(artifact, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.profile.tune.ROUNDS", 1)
    run("tune", artifact)
    tuned = json.loads((artifact / "device.json").read_text())
    assert json.loads(run("info", artifact, "--json").stdout)["tuned"] == tuned
    assert f"tuned: {tuned['search']} search on {tuned['threads']} threads" in (
        run("info", artifact).stdout
    )
