"""Files of weights of every kind that a user may name, good, odd and hostile, as bytes."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

State = Mapping[str, Tensor]
Make = Callable[[State, Path], bytes]
"""From good weights, and the file that would be there if anything were run, to the bytes of a file."""


class Calls:
    """Calls something when it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: object) -> None:
        self.asked = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.asked


def canary(path: Path) -> Calls:
    """Makes a file by the shell."""
    return Calls(os.system, f"touch '{path}'")


def evaluating(path: Path) -> Calls:
    """Makes a file by a line of Python."""
    return Calls(eval, f"open({str(path)!r}, 'w').close()")


def torch_file(content: object, **options: Any) -> bytes:
    """What `torch.save` writes."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def legacy(content: object) -> bytes:
    """What `torch.save` wrote before version 1.6."""
    return torch_file(content, _use_new_zipfile_serialization=False)


def old_tar(_: State, path: Path) -> bytes:
    """The oldest form: a tar file of pickles."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            content = pickle.dumps(canary(path))
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def repacked(
    content: bytes, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> bytes:
    """A file of torch's, its members changed one by one."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


def nested(state: State, path: Path) -> bytes:
    """A pickle that calls something in place of the one inside torch's zip file."""

    def change(name: str, content: bytes) -> bytes:
        return pickle.dumps(canary(path), protocol=2) if name.endswith("data.pkl") else content

    return repacked(torch_file(dict(state)), change)


def zip_bomb(state: State, _: Path) -> bytes:
    """A compressed member of 200 MB of zeros."""

    def change(name: str, content: bytes) -> bytes:
        return bytes(200_000_000) if name.endswith("data/0") else content

    return repacked(torch_file(dict(state)), change, zipfile.ZIP_DEFLATED)


def overlapping(state: State, _: Path) -> bytes:
    """A zip file whose directory names one member many times under other names."""
    whole = torch_file(dict(state))
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/data/big", bytes(100_000))
        big = archive.getinfo("archive/data/big")
        for number in range(100):
            twin = zipfile.ZipInfo(f"archive/data/big{number}")
            for name in ("header_offset", "file_size", "compress_size", "CRC", "compress_type"):
                setattr(twin, name, getattr(big, name))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    return file.getvalue()


def saved_arrays(state: State, path: Path) -> bytes:
    """An `.npz` file with an array of objects, which numpy would unpickle if it were let."""
    del state
    file = io.BytesIO()
    np.savez(file, weights=np.array([canary(path)], dtype=object))
    return file.getvalue()


def header(length: int, content: bytes = b"{}") -> bytes:
    """The beginning of a `.safetensors` file that states so long a header."""
    return struct.pack("<Q", length) + content


def stated(entries: Mapping[str, Any], body: bytes = b"") -> bytes:
    """A `.safetensors` file with this header."""
    text = json.dumps(entries).encode()
    return header(len(text), text) + body


def with_first(state: State, change: Callable[[Tensor], object]) -> dict[str, Any]:
    """The same weights, the first tensor of floating-point numbers changed."""
    name = next(name for name, value in state.items() if value.is_floating_point())
    return {**state, name: change(state[name].clone())}


def filled(value: float) -> Callable[[Tensor], Tensor]:
    """Sets the last number of a tensor."""

    def change(tensor: Tensor) -> Tensor:
        tensor.view(-1)[-1] = value
        return tensor

    return change


def _renamed(state: State) -> dict[str, Tensor]:
    return {f"other.{name}": value for name, value in state.items()}


def _shell(state: State) -> dict[str, Any]:
    """A tensor of a terabyte that repeats one number."""
    return with_first(state, lambda _: torch.zeros(1).expand(2**19, 2**19))


HUGE = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
FILES: Mapping[str, tuple[str, Make, str]] = {
    "empty": (".pt", lambda *_: b"", "cannot be read"),
    "empty safetensors": (".safetensors", lambda *_: b"", "cannot be read"),
    "words": (".pth", lambda *_: b"no weights at all", "no file of tensors, or is damaged"),
    "a pickle": (".pt", lambda _, path: pickle.dumps(canary(path)), "no file of tensors"),
    "a pickle that evaluates": (
        ".bin",
        lambda _, path: pickle.dumps(evaluating(path)),
        "no file of tensors",
    ),
    "a call inside torch's file": (
        ".pt",
        lambda s, path: torch_file({**s, "x": canary(path)}),
        "asks for posix.system",
    ),
    "a call in the old form": (
        ".pt",
        lambda s, path: legacy({**s, "x": evaluating(path)}),
        "nothing in it was run",
    ),
    "a call in the oldest form": (".tar", old_tar, "old .tar form"),
    "a call under state_dict": (
        ".ckpt",
        lambda _, path: torch_file({"state_dict": canary(path)}),
        "asks for posix.system",
    ),
    "another pickle in torch's zip": (".pt", nested, "cannot be read"),
    "a pickle called safetensors": (
        ".safetensors",
        lambda _, path: pickle.dumps(canary(path)),
        "cannot be read",
    ),
    "arrays of objects": (".npz", saved_arrays, "not from .npz"),
    "arrays of objects called pt": (".pt", saved_arrays, "cannot be read"),
    "a model as a whole": (
        ".pt",
        lambda *_: torch_file(torch.nn.Linear(2, 2)),
        "asks for torch.nn.modules.linear",
    ),
    "zip bomb": (".pt", zip_bomb, "compressed archive"),
    "overlapping members": (".pt", overlapping, "more bytes than it has"),
    "huge header": (".safetensors", lambda *_: header(2**62), "cannot be read"),
    "long header": (".safetensors", lambda *_: header(99_000_000, b"{" * 1000), "cannot be read"),
    "huge tensor": (".safetensors", lambda *_: stated(HUGE), "cannot be read"),
    "safetensors called pt": (".pt", lambda s, _: save(dict(s)), "no file of tensors, or is damaged"),
    "cut in half": (".safetensors", lambda s, _: save(dict(s))[:-1000], "cannot be read"),
    "cut in half, of torch": (".pt", lambda s, _: torch_file(dict(s))[:-1000], "cut short or damaged"),
    "a list": (".pt", lambda *_: torch_file([1, 2]), "no state dict"),
    "numbers": (".pt", lambda s, _: torch_file(with_first(s, lambda _: 3.5)), "no plain tensors"),
    "sparse": (".pt", lambda s, _: torch_file(with_first(s, Tensor.to_sparse)), "no plain tensors"),
    "without memory": (
        ".pt",
        lambda s, _: torch_file(with_first(s, lambda t: t.to("meta"))),
        "no plain tensors",
    ),
    "nothing": (".safetensors", lambda *_: save({}), "lack"),
    "of another model": (".safetensors", lambda s, _: save(_renamed(s)), "they hold besides other."),
    "one tensor short": (".safetensors", lambda s, _: save(dict([*s.items()][1:])), "they lack"),
    "of another shape": (".pt", lambda s, _: torch_file(with_first(s, lambda t: t[:1])), "other shapes have"),
    "a shell of a terabyte": (".pt", lambda s, _: torch_file(_shell(s)), "other shapes have"),
    "integers": (".safetensors", lambda s, _: save(with_first(s, Tensor.long)), "int64"),
    "complex": (".pt", lambda s, _: torch_file(with_first(s, lambda t: t + 0j)), "complex64"),
    "of 8 bits": (
        ".pt",
        lambda s, _: torch_file(with_first(s, lambda t: t.to(torch.float8_e4m3fn))),
        "float8_e4m3fn",
    ),
    "NaN": (".safetensors", lambda s, _: save(with_first(s, filled(float("nan")))), "NaN or infinity"),
    "infinity": (".safetensors", lambda s, _: save(with_first(s, filled(float("-inf")))), "NaN or infinity"),
    "too large for float32": (
        ".pt",
        lambda s, _: torch_file(with_first(s, lambda t: filled(1e300)(t.double()))),
        "NaN or infinity as float32",
    ),
}
"""Kind → ending, bytes, and a part of what is said of it."""

PRECISIONS = {"float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Precisions whose weights are converted."""
