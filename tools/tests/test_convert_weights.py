"""The converter of checkpoints: names, layouts, wrappers, and what is written."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
import convert_weights as cw


def read(path):
    """Header, description and tensors of a safetensors file, read by its definition."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["stfusion"])
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "BOOL": "?"}
    body = data[8 + length :]
    tensors = {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(body)
    return description, tensors


def test_networks_are_found_in_their_wrappers():
    weights = {"a.weight": np.ones(2)}
    assert cw.unwrapped(weights) is weights
    assert cw.unwrapped({"epoch": 3, "state_dict": weights, "optimizer": {}}) is weights
    assert cw.unwrapped({"model": {"state_dict": weights, "lr": 0.1}}) is weights
    assert cw.unwrapped({"ema": {"x": weights}, "state_dict": {}}, "ema.x") is weights
    with pytest.raises(cw.ConversionError, match="choose one with --key"):
        cw.unwrapped({"generator": weights, "ema": weights})
    with pytest.raises(cw.ConversionError, match="it holds discriminator, epoch"):
        cw.unwrapped({"discriminator": weights, "epoch": 1})
    with pytest.raises(cw.ConversionError, match="no key 'b'"):
        cw.unwrapped({"a": weights}, "b")
    with pytest.raises(cw.ConversionError, match="holds list"):
        cw.unwrapped([1, 2])


def test_prefixes_are_taken_away_when_all_names_have_them():
    assert list(cw.stripped({"module._orig_mod.a": 1, "module._orig_mod.b": 2})) == ["a", "b"]
    assert list(cw.stripped({"module.a": 1, "b": 2})) == ["module.a", "b"]
    assert cw.stripped({}) == {}


def test_names_follow_rules_and_stay_apart():
    tensors = {"netG.head.weight": 1, "netG.tail.weight": 2}
    assert list(cw.renamed(tensors, [("^netG\\.", ""), ("head", "conv")])) == ["conv.weight", "tail.weight"]
    with pytest.raises(cw.ConversionError, match="two tensors would be named 'netG.x.weight'"):
        cw.renamed(tensors, [("head|tail", "x")])


def test_keras_layers_are_laid_out_as_in_pytorch():
    kernel = np.arange(2 * 3 * 4 * 5, dtype="f4").reshape(2, 3, 4, 5)
    conv = cw.keras_layer({"kernel": kernel, "bias": np.zeros(5, "f4")}, "c")
    assert list(conv) == ["c.weight", "c.bias"]
    assert conv["c.weight"].shape == (5, 4, 2, 3)
    assert conv["c.weight"][4, 3, 1, 2] == kernel[1, 2, 3, 4]
    dense = cw.keras_layer({"kernel": np.ones((7, 2), "f4")}, "d")
    assert dense["d.weight"].shape == (2, 7)
    separable = cw.keras_layer(
        {
            "depthwise_kernel": np.ones((3, 3, 8, 1), "f4"),
            "pointwise_kernel": np.ones((1, 1, 8, 6), "f4"),
            "bias": np.ones(6, "f4"),
        },
        "s",
    )
    assert {name: value.shape for name, value in separable.items()} == {
        "s.depthwise.weight": (8, 1, 3, 3),
        "s.pointwise.weight": (6, 8, 1, 1),
        "s.pointwise.bias": (6,),
    }
    norm = cw.keras_layer(dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), np.ones(3, "f4")), "n")
    assert list(norm) == ["n.weight", "n.bias", "n.running_mean", "n.running_var"]
    with pytest.raises(cw.ConversionError, match="a tensor 'phase', which"):
        cw.keras_layer({"phase": np.ones(1)}, "x")


def test_gates_of_recurrent_layers_are_in_pytorchs_order():
    gru = cw.keras_layer(
        {
            "kernel": np.array([[0, 0, 1, 1, 2, 2]], "f4"),
            "recurrent_kernel": np.zeros((2, 6), "f4"),
            "bias": np.stack([np.array([0, 0, 1, 1, 2, 2], "f4"), np.full(6, 9, "f4")]),
        },
        "g",
    )
    assert gru["g.weight_ih_l0"][:, 0].tolist() == [1, 1, 0, 0, 2, 2]
    assert gru["g.bias_ih_l0"].tolist() == [1, 1, 0, 0, 2, 2]
    assert gru["g.bias_hh_l0"].tolist() == [9] * 6
    lstm = cw.keras_layer({"kernel": np.arange(4.0)[None], "recurrent_kernel": np.zeros((1, 4)), "bias": np.arange(4.0)}, "l")
    assert lstm["l.weight_ih_l0"][:, 0].tolist() == [0, 1, 2, 3]
    assert lstm["l.bias_hh_l0"].tolist() == [0] * 4
    with pytest.raises(cw.ConversionError, match="reset_after=False"):
        cw.keras_layer({"kernel": np.zeros((1, 3)), "recurrent_kernel": np.zeros((1, 3)), "bias": np.zeros(3)}, "g")


def test_what_is_written_is_a_safetensors_file(tmp_path):
    tensors = {"h": np.float16([1, 2, 3]), "w": np.arange(6, dtype="f4").reshape(2, 3), "i": np.int64([7]), "m": np.array([True])}
    data = cw.to_bytes(tensors, {"schema": 1, "network": "x"})
    assert data == cw.to_bytes(dict(reversed(tensors.items())), {"schema": 1, "network": "x"})
    path = tmp_path / "w.safetensors"
    cw.write(path, data)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    description, found = read(path)
    assert description == {"schema": 1, "network": "x"}
    assert all((found[name] == value).all() and found[name].dtype == value.dtype for name, value in tensors.items())
    safetensors = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not there")
    assert all((safetensors.load_file(path)[name] == value).all() for name, value in tensors.items())


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(cw.ConversionError, match="tensor a holds values that are not finite"):
        cw.checked({"a": np.float32([np.nan])})
    with pytest.raises(cw.ConversionError, match="tensor a holds complex128"):
        cw.checked({"a": np.array([1j])})
    with pytest.raises(cw.ConversionError, match="no tensors"):
        cw.checked({})


def test_the_description_comes_from_file_and_options(tmp_path):
    file = tmp_path / "d.json"
    file.write_text('{"network": "a", "options": {"x": 1}, "training": {"data_set": "CIA"}}')
    line = ["w.pth", "w.safetensors", "--metadata", str(file), "--network", "stfdiff"]
    args = cw.parser().parse_args(
        [*line, "--option", "steps=50", "--option", "act=silu", "--bands", "red, nir", "--notes", "60 epochs", "--doi", "10.1/x"]
    )
    assert cw.metadata_of(args) == {
        "schema": 1,
        "network": "stfdiff",
        "options": {"x": 1, "steps": 50, "act": "silu"},
        "bands": ["red", "nir"],
        "training": {"data_set": "CIA", "notes": "60 epochs"},
        "reference": {"doi": "10.1/x"},
    }
    with pytest.raises(cw.ConversionError, match="say which network it is"):
        cw.metadata_of(cw.parser().parse_args(["w.pth", "w.safetensors"]))


def test_mistakes_end_with_a_message(tmp_path, capsys):
    assert cw.main([str(tmp_path / "no.pth"), str(tmp_path / "o"), "--network", "x"]) == 1
    assert "no.pth is not a file" in capsys.readouterr().err
    (tmp_path / "o").write_text("")
    assert cw.main([str(tmp_path / "no.pth"), str(tmp_path / "o"), "--network", "x"]) == 1
    assert "exists; replace it with --overwrite" in capsys.readouterr().err


def test_a_pytorch_checkpoint_is_converted(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not there")
    path, output = tmp_path / "n.pth", tmp_path / "n.safetensors"
    state = {"module.a": torch.arange(3.0), "module.b": torch.ones(2, dtype=torch.bfloat16), "module.n": torch.tensor(7)}
    torch.save({"epoch": 1, "state_dict": state}, path)
    assert cw.main([str(path), str(output), "--network", "x"]) == 0
    description, tensors = read(output)
    assert description["network"] == "x"
    assert tensors["a"].tolist() == [0, 1, 2] and tensors["b"].tolist() == [1, 1] and tensors["n"].tolist() == 7
    torch.save({"state_dict": {"a": print}}, path)
    assert cw.main([str(path), str(output), "--network", "x", "--overwrite"]) == 1


def test_a_keras_file_is_converted(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not there")
    path, output, layers = tmp_path / "n.h5", tmp_path / "n.safetensors", tmp_path / "layers.json"
    with h5py.File(path, "w") as file:
        file["model_weights/conv2d/conv2d/kernel:0"] = np.ones((3, 3, 2, 4), "f4")
        file["model_weights/conv2d/conv2d/bias:0"] = np.zeros(4, "f4")
        file["model_weights/bidirectional/forward_lstm/lstm_cell/kernel:0"] = np.ones((5, 8), "f4")
        file["model_weights/bidirectional/forward_lstm/lstm_cell/recurrent_kernel:0"] = np.ones((2, 8), "f4")
        file["optimizer_weights/x/y:0"] = np.zeros(1, "f4")
    layers.write_text('{"conv2d": "head.0", "bidirectional/forward_lstm/lstm_cell": "lstm"}')
    assert cw.main([str(path), str(output), "--network", "ttsfnet", "--layers", str(layers)]) == 0
    _, tensors = read(output)
    assert {name: value.shape for name, value in tensors.items()} == {
        "head.0.weight": (4, 2, 3, 3),
        "head.0.bias": (4,),
        "lstm.weight_ih_l0": (8, 5),
        "lstm.weight_hh_l0": (8, 2),
    }
    layers.write_text('{"conv": "head"}')
    assert cw.main([str(path), str(output), "--network", "x", "--layers", str(layers), "--overwrite"]) == 1
