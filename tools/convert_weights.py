#!/usr/bin/env python3
"""Convert a network's checkpoint (.pth, .pt, Keras .h5) to a safetensors file that stfusion reads.

The tensors keep their published names; what their shapes cannot tell (which network, order of inputs, scaling of values, licence)
goes into the file's header as JSON under the key ``stfusion``. README.md beside this file describes the keys.

Pickled checkpoints are read with ``torch.load(weights_only=True)``, which runs no code of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = 1

# keys under which training scripts keep the network beside optimisers and counters
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "generator",
    "netG",
    "G",
    "params_ema",
    "ema",
    "params",
)

# prefixes that wrappers of parallel training add to every name
PREFIXES = ("module.", "_orig_mod.")

DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


class ConversionError(Exception):
    """What is wrong with the checkpoint or the command line, in words for the person at the terminal."""


def unwrapped(checkpoint: Any, key: str | None = None) -> dict[str, Any]:
    """The mapping of names to tensors inside a checkpoint. ``key``: the path to it, such as ``ema.state_dict``."""
    if key:
        for part in key.split("."):
            if not isinstance(checkpoint, dict) or part not in checkpoint:
                raise ConversionError(f"the checkpoint has no key {key!r}; {described(checkpoint)}")
            checkpoint = checkpoint[part]
    while isinstance(checkpoint, dict):
        if checkpoint and all(is_tensor(value) for value in checkpoint.values()):
            return checkpoint
        found = [name for name in WRAPPERS if isinstance(checkpoint.get(name), dict)]
        if len(found) != 1:
            hint = "choose one with --key" if found else "name the network's with --key"
            raise ConversionError(f"the checkpoint is not a plain network ({described(checkpoint)}); {hint}")
        checkpoint = checkpoint[found[0]]
    raise ConversionError(f"the checkpoint holds {type(checkpoint).__name__}, not named tensors; save the network's state_dict()")


def described(value: Any) -> str:
    """What a checkpoint holds, in a few words."""
    if isinstance(value, dict):
        return "it holds " + (", ".join(str(name) for name in list(value)[:12]) or "nothing")
    return f"it is {type(value).__name__}"


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of numpy or torch."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def stripped(tensors: dict[str, Any], prefixes: tuple[str, ...] = PREFIXES) -> dict[str, Any]:
    """The tensors without prefixes that all names have."""
    while True:
        prefix = next((p for p in prefixes if tensors and all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            return tensors
        tensors = {name[len(prefix) :]: value for name, value in tensors.items()}


def renamed(tensors: dict[str, Any], rules: list[tuple[str, str]]) -> dict[str, Any]:
    """The tensors with every rule (regular expression, replacement) applied to their names, in order."""
    result: dict[str, Any] = {}
    for name, value in tensors.items():
        new = name
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        if new in result:
            raise ConversionError(f"two tensors would be named {new!r}; make the rules of --rename more exact")
        result[new] = value
    return result


def read_torch(path: Path, key: str | None) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch checkpoint."""
    try:
        import torch
    except ImportError:
        raise ConversionError("reading .pth and .pt files needs PyTorch: pip install torch") from None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConversionError(
            f"{path} cannot be read without running code of its own ({error}). If you trust it, load it where it was made and "
            "save the plain tensors: torch.save(model.state_dict(), ...)"
        ) from error

    def array(value: Any) -> np.ndarray:
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).contiguous().numpy()

    return {name: array(value) for name, value in unwrapped(checkpoint, key).items()}


# last part of a Keras name -> last part of a published name, for layers of one kernel
KERAS_NAMES = {
    "kernel": "weight",
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "embeddings": "weight",
}


def keras_layer(weights: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors of one Keras layer as PyTorch lays them out and names them, behind ``prefix``.

    Kernels of convolutions become (output, input, rows, columns), dense kernels (output, input). Recurrent layers (kernel,
    recurrent_kernel, bias) get PyTorch's names and order of gates; PyTorch's second bias is zero where Keras has one.
    """
    separable = "depthwise_kernel" in weights
    if "recurrent_kernel" in weights:
        return recurrent_layer(weights, prefix)
    result = {}
    for name, value in weights.items():
        if name not in KERAS_NAMES:
            raise ConversionError(f"layer {prefix!r} has a tensor {name!r}, which this converter does not know")
        if name == "depthwise_kernel":
            # (rows, columns, channels, multiplier) -> (channels * multiplier, 1, rows, columns)
            rows, cols, channels, multiplier = value.shape
            value = value.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, rows, cols)
        elif name in ("kernel", "pointwise_kernel"):
            axes = value.ndim
            value = value.transpose(axes - 1, axes - 2, *range(axes - 2))
        part = "pointwise.bias" if separable and name == "bias" else KERAS_NAMES[name]
        result[f"{prefix}.{part}"] = np.ascontiguousarray(value)
    return result


def recurrent_layer(weights: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """An LSTM (4 gates in PyTorch's order already) or GRU (update, reset, new -> reset, update, new)."""
    kernel, recurrent = weights["kernel"], weights["recurrent_kernel"]
    units = recurrent.shape[0]
    gates = kernel.shape[1] // units
    if gates not in (3, 4):
        raise ConversionError(f"layer {prefix!r} has {gates} gates; LSTM (4) and GRU (3) are known")
    order = [1, 0, 2] if gates == 3 else [0, 1, 2, 3]

    def ordered(value: np.ndarray) -> np.ndarray:
        rows = [value[gate * units : (gate + 1) * units] for gate in order]
        return np.ascontiguousarray(np.concatenate(rows))

    result = {f"{prefix}.weight_ih_l0": ordered(kernel.T), f"{prefix}.weight_hh_l0": ordered(recurrent.T)}
    if "bias" in weights:
        bias = weights["bias"]
        if gates == 3 and bias.ndim != 2:
            raise ConversionError(f"layer {prefix!r} is a GRU with reset_after=False, which PyTorch's GRU cannot express")
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        result[f"{prefix}.bias_ih_l0"] = ordered(both[0])
        result[f"{prefix}.bias_hh_l0"] = ordered(both[1])
    return result


def read_keras(path: Path, layers: dict[str, str]) -> dict[str, np.ndarray]:
    """The tensors of a Keras .h5 file. ``layers``: published names of layers by their names in the file."""
    try:
        import h5py
    except ImportError:
        raise ConversionError("reading .h5 files needs h5py: pip install h5py") from None
    found: dict[str, dict[str, np.ndarray]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            # layer/.../layer/kernel:0, where layers are named once or twice
            parts = name.split("/")
            layer = "/".join(dict.fromkeys(parts[:-1])) or parts[0]
            found.setdefault(layer, {})[parts[-1].split(":")[0]] = np.asarray(item)

    with h5py.File(path, "r") as file:
        file.get("model_weights", file).visititems(visit)
    found = {layer: weights for layer, weights in found.items() if not layer.startswith("optimizer")}
    if not found:
        raise ConversionError(f"{path} holds no weights of layers")
    strangers = sorted(set(layers) - set(found))
    if strangers:
        raise ConversionError(f"the file has no layers {', '.join(strangers)}; it has {', '.join(sorted(found))}")
    result: dict[str, np.ndarray] = {}
    for layer, weights in found.items():
        for name, value in keras_layer(weights, layers.get(layer, layer.replace("/", "."))).items():
            if name in result:
                raise ConversionError(f"two tensors would be named {name!r}; give the layers names of their own with --layers")
            result[name] = value
    return result


def checked(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors, if they can be stored and are finite."""
    for name, value in tensors.items():
        if str(value.dtype) not in DTYPES:
            raise ConversionError(f"tensor {name} holds {value.dtype}, which cannot be stored")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ConversionError(f"tensor {name} holds values that are not finite: take an earlier checkpoint")
    if not tensors:
        raise ConversionError("the checkpoint holds no tensors")
    return tensors


def to_bytes(tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> bytes:
    """The bytes of a safetensors file: the length of the header, the header, the values. The same tensors give the same bytes."""
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    header: dict[str, Any] = {"__metadata__": {"stfusion": text}}
    # wide numbers first keep every tensor aligned
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    values, end = [], 0
    for name in order:
        value = tensors[name]
        data = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": DTYPES[str(value.dtype)], "shape": list(value.shape), "data_offsets": [end, end + len(data)]}
        end += len(data)
        values.append(data)
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(values)


def write(path: Path, data: bytes) -> None:
    """Write a file that appears under its name when it is complete."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(file.name, 0o666 & ~umask)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def option(text: str) -> tuple[str, Any]:
    """``name=value`` with the value as JSON, or as a word where it is not."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def rule(text: str) -> tuple[str, str]:
    """``pattern=replacement`` of a name."""
    pattern, equals, replacement = text.partition("=")
    try:
        re.compile(pattern)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{pattern!r} is not a regular expression: {error}") from error
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=REPLACEMENT")
    return pattern, replacement


def metadata_of(args: argparse.Namespace) -> dict[str, Any]:
    """The description of the network: that of ``--metadata``, overridden by the single options."""
    metadata: dict[str, Any] = {}
    if args.metadata:
        metadata = json.loads(Path(args.metadata).read_text(encoding="utf-8"))
        if not isinstance(metadata, dict):
            raise ConversionError(f"{args.metadata} does not hold a JSON object")
    metadata = {"schema": SCHEMA, **metadata}
    for name in ("network", "licence", "source"):
        if getattr(args, name):
            metadata[name] = getattr(args, name)
    if args.bands:
        metadata["bands"] = [band.strip() for band in args.bands.split(",")]
    if args.option:
        metadata["options"] = {**metadata.get("options", {}), **dict(args.option)}
    for group, names in {"training": ("data_set", "sensors", "date", "notes"), "reference": ("citation", "doi")}.items():
        given = {name: getattr(args, name) for name in names if getattr(args, name)}
        if given:
            metadata[group] = {**metadata.get(group, {}), **given}
    if not metadata.get("network"):
        raise ConversionError("say which network it is, with --network or in the file of --metadata")
    return metadata


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Convert a network's checkpoint to a safetensors file that stfusion reads.",
        epilog="Example: convert_weights.py generator.pth gan_stfm.safetensors --network gan_stfm --bands blue,green,red,nir "
        "--licence MIT --data-set CIA",
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint: .pth, .pt or .h5")
    parser.add_argument("output", type=Path, help="safetensors file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    tensors = parser.add_argument_group("tensors")
    tensors.add_argument("--key", help="where the network lies in the checkpoint, such as ema.state_dict; by default it is found")
    tensors.add_argument(
        "--rename",
        type=rule,
        action="append",
        default=[],
        metavar="PATTERN=REPLACEMENT",
        help="change names; repeatable, in order",
    )
    tensors.add_argument("--layers", metavar="FILE", help="JSON object of published names of layers by their Keras names")
    described = parser.add_argument_group("description of the network")
    described.add_argument("--network", metavar="ID", help="the network, as stfusion names it")
    described.add_argument("--metadata", metavar="FILE", help="JSON file with any of the keys that README.md describes")
    described.add_argument(
        "--option", type=option, action="append", metavar="NAME=VALUE", help="option of the network; repeatable"
    )
    described.add_argument("--bands", metavar="NAME,...", help="names of the bands, in the order of the channels")
    described.add_argument("--data-set", help="data set that it was trained on")
    described.add_argument("--sensors", help="fine and coarse sensor")
    described.add_argument("--date", help="day of the training")
    described.add_argument("--notes", help="anything else a user should know of the training")
    described.add_argument("--licence", help="licence of the weights, as SPDX names it")
    described.add_argument("--citation", help="publication")
    described.add_argument("--doi", help="DOI of the publication")
    described.add_argument("--source", help="where the checkpoint came from")
    return parser


def convert(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Convert as the command line says; returns the tensors written."""
    metadata = metadata_of(args)
    if args.output.exists() and not args.overwrite:
        raise ConversionError(f"{args.output} exists; replace it with --overwrite")
    if not args.checkpoint.is_file():
        raise ConversionError(f"{args.checkpoint} is not a file")
    if args.checkpoint.suffix.lower() in (".h5", ".hdf5", ".keras"):
        layers = json.loads(Path(args.layers).read_text(encoding="utf-8")) if args.layers else {}
        tensors = read_keras(args.checkpoint, layers)
    else:
        tensors = stripped(read_torch(args.checkpoint, args.key))
    tensors = checked(renamed(tensors, args.rename))
    write(args.output, to_bytes(tensors, metadata))
    return tensors


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = parser().parse_args(arguments)
    try:
        tensors = convert(args)
    except (ConversionError, OSError, json.JSONDecodeError) as error:
        print(f"convert_weights: error: {error}", file=sys.stderr)
        return 1
    numbers = sum(value.size for value in tensors.values())
    print(f"{args.output}: {len(tensors)} tensors, {numbers} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
