import hashlib
import subprocess
import sys

import numpy as np
from timm.data import create_dataset

from swatbench.data.files import Pictures
from tests.data.jpegs import images_of


def test_the_generator_writes_the_same_bytes_in_another_process(jpegs, tmp_path):
    code = "import pathlib, sys, tests.data.jpegs as t; t.make_jpeg_folder(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    for path, _ in images_of(tmp_path, "test"):
        ours = (jpegs / "folder" / path.relative_to(tmp_path)).read_bytes()
        assert hashlib.sha256(ours).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_images_of_the_generator_differ_more_between_classes_than_within(jpegs):
    means = {
        label: [
            np.mean(np.asarray(picture), (0, 1))
            for picture, found in load_pictures(jpegs / "folder")
            if found == label
        ]
        for label in range(4)
    }
    within = max(np.std(group, 0).max() for group in means.values())
    between = np.std([np.mean(group, 0) for group in means.values()], 0).max()
    assert between > 3 * within


def load_pictures(folder):
    return list(Pictures(create_dataset("", root=str(folder), split="train").reader, name="train"))
