"""The Open Inference Protocol, with requests as Triton's client sends them."""

import base64
import json
import struct

import numpy as np
import pytest

from edge_ad_runtime import Detector
from edge_ad_runtime.images import decode_image

INFER = "/v2/models/plate/infer"
LENGTH = "Inference-Header-Content-Length"


def binary_request(client, header, *tensors, path=INFER):
    text = json.dumps(header).encode()
    headers = {LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}
    return client.post(path, content=b"".join([text, *tensors]), headers=headers)


def file_tensor(content):
    return struct.pack("<I", len(content)) + content


def described(size, **more):
    image = {"name": "image", "shape": [1], "datatype": "BYTES",
             "parameters": {"binary_data_size": size}}  # fmt: skip
    return {"inputs": [{**image, **more}]}


@pytest.fixture
def expected(tiny, stain):
    with Detector.load(tiny, threads=1) as detector:
        return detector.predict(decode_image(stain))


def test_a_file_in_the_binary_extension_gives_the_detectors_score(served, stain, expected):
    """The request is what tritonclient.http sends for np.array([content], dtype=np.object_)."""
    client, tensor = served(), file_tensor(stain)
    header = {"id": "a1", **described(len(tensor)), "parameters": {"binary_data_output": True}}
    answer = binary_request(client, header, tensor)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers[LENGTH])
    found, rest = json.loads(answer.content[:length]), answer.content[length:]
    assert (found["model_name"], found["id"]) == ("plate", "a1")
    assert found["parameters"]["verdict"] == expected.verdict
    names = [(o["name"], o["datatype"], o["shape"], o["parameters"]) for o in found["outputs"]]
    assert names == [
        ("score", "FP64", [1], {"binary_data_size": 8}),
        ("threshold", "FP64", [1], {"binary_data_size": 8}),
        ("anomalous", "BOOL", [1], {"binary_data_size": 1}),
    ]
    assert struct.unpack("<dd?", rest) == (expected.score, expected.threshold, True)


def test_base64_in_json_gives_the_same(served, stain, expected):
    image = {"name": "image", "shape": [1], "datatype": "BYTES",
             "data": [base64.b64encode(stain).decode()]}  # fmt: skip
    answer = served().post(INFER, json={"inputs": [image]})
    values = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert values == {
        "score": [expected.score], "threshold": [expected.threshold], "anomalous": [True]
    }  # fmt: skip


def test_pixels_give_the_same_in_binary_and_in_json(served, stain, expected):
    client, pixels = served(), decode_image(stain)
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8"}
    header = {"inputs": [{**tensor, "parameters": {"binary_data_size": pixels.size}}]}
    in_binary = binary_request(client, header, pixels.tobytes())
    nested = client.post(INFER, json={"inputs": [{**tensor, "data": [pixels.tolist()]}]})
    flat = client.post(INFER, json={"inputs": [{**tensor, "data": pixels.ravel().tolist()}]})
    for answer in (in_binary, nested, flat):
        assert answer.json()["outputs"][0]["data"] == [expected.score]


def test_the_map_comes_if_it_is_asked_for(served, stain, expected):
    tensor = file_tensor(stain)
    outputs = [{"name": "map", "parameters": {"binary_data": True}}, {"name": "score"}]
    answer = binary_request(served(), {**described(len(tensor)), "outputs": outputs}, tensor)
    length = int(answer.headers[LENGTH])
    found = json.loads(answer.content[:length])
    heat, score = found["outputs"]
    assert heat["shape"] == [1, *expected.map.shape]
    values = np.frombuffer(answer.content[length:], "<f4").reshape(expected.map.shape)
    np.testing.assert_array_equal(values, expected.map)
    assert score["data"] == [expected.score]


def test_metadata_says_what_goes_in_and_comes_out(served, tiny):
    client = served()
    assert "binary_tensor_data" in client.get("/v2").json()["extensions"]
    found = client.get("/v2/models/plate").json()
    assert found["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert [output["name"] for output in found["outputs"]] == [
        "score", "threshold", "anomalous", "map"
    ]  # fmt: skip
    (version,) = found["versions"]
    assert client.get(f"/v2/models/plate/versions/{version}/ready").json()["ready"] is True
    assert client.get("/v2/models/plate/versions/000000000000").status_code == 404
    assert client.get("/v2/models/lid").status_code == 404


def test_an_inference_is_a_result_like_any_other(served, stain):
    client, tensor = served(), file_tensor(stain)
    found = binary_request(client, described(len(tensor)), tensor).json()
    (result,) = client.get("/v1/results").json()["results"]
    assert result["id"] == found["parameters"]["result_id"]


def test_an_image_without_a_verdict_is_an_error_and_no_output(served):
    tensor = file_tensor(b"no image")
    answer = binary_request(served(), described(len(tensor)), tensor)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "change, said",
    [
        ({"shape": [2]}, "shape"),
        ({"shape": "x"}, "shape"),
        ({"shape": [True]}, "shape"),
        ({"datatype": "FP32"}, "datatype"),
        ({"name": "picture"}, "'image'"),
        ({"parameters": {"binary_data_size": 3}}, "3"),
        ({"parameters": {"binary_data_size": "9"}}, "binary_data_size"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {}}, "belong to no tensor"),
        ({"data": [1]}, "found both"),
        ({"datatype": "UINT8", "shape": [1, 10, 10, 3]}, "expected 300 bytes"),
        ({"datatype": "UINT8", "shape": [1, 10, 3, 10]}, "height, width, 3"),
        ({"datatype": "UINT8", "shape": [1, -1, -1, 3]}, "height, width, 3"),
        ({"datatype": "UINT8", "shape": [1, 10**6, 10**6, 3]}, "pixels allowed"),
    ],
)
def test_a_tensor_that_is_wrong_is_400_and_says_why(served, good, change, said):
    tensor = file_tensor(good)
    answer = binary_request(served(), described(len(tensor), **change), tensor)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"inputs": []}', b'{"inputs": [1]}', b'{"inputs": {}}',
     b'{"x": 1}', b'{"id": 7, "inputs": []}', b"[" * 100_000, b'{"inputs": NaN}', b"\xff\xfe",
     b'{"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","data":["*"]}]}',
     b'{"inputs":[{"name":"image","shape":[1,1,1,3],"datatype":"UINT8","data":[1,[2],3]}]}',
     b'{"inputs":[{"name":"image","shape":[1,1,1,3],"datatype":"UINT8","data":[1,2,999]}]}',
     b'{"inputs":[{"name":"image","shape":[1,1,1,3],"datatype":"UINT8","data":[1,2,-1e99]}]}',
     b'{"inputs":[{"name":"image","shape":[1,1,1,3],"datatype":"UINT8","data":null}]}',
     b'{"inputs":[{"name":"image","shape":[1,1,1,3],"datatype":"UINT8","data":'
     b'[1,2,99999999999999999999999999]}]}'],
)  # fmt: skip
def test_json_that_is_wrong_is_400(served, body):
    answer = served().post(INFER, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "1" * 30, ""])
def test_a_header_length_that_is_wrong_is_400(served, length):
    answer = served().post(INFER, content=b"{}", headers={LENGTH: length})
    assert answer.status_code == 400


@pytest.mark.parametrize("outputs", [[], "x", [{}], [{"name": "features"}], [{"name": ["map"]}]])
def test_an_output_that_is_not_there_is_refused(served, good, outputs):
    tensor = file_tensor(good)
    answer = binary_request(served(), {**described(len(tensor)), "outputs": outputs}, tensor)
    assert answer.status_code == 400
