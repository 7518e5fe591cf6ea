"""Where TensorFlow can't be imported: frozen graphs are read, checkpoints say what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inceptioncli.architecture import Graph
from inceptioncli.errors import WeightsError
from inceptioncli.summary import variables
from inceptioncli.weights import formats
from tests.oracles.slim import SlimFiles
from tests.weights.test_formats import tar_gz

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
sys.modules["tensorflow"] = None
from pathlib import Path
import numpy as np
from inceptioncli.weights import formats
np.savez(sys.argv[2], **formats.read(Path(sys.argv[1])).arrays)
"""


@pytest.mark.parametrize("packed", [False, True], ids=[".pb", ".tar.gz"])
def test_a_frozen_graph_is_read(narrow_slim_files: SlimFiles, tmp_path: Path, packed: bool) -> None:
    import tensorflow as tf

    frozen = narrow_slim_files.frozen
    path = tar_gz(tmp_path / "frozen.tar.gz", frozen) if packed else frozen
    command = [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / "read.npz")]
    subprocess.run(command, check=True)
    graph = tf.compat.v1.GraphDef.FromString(frozen.read_bytes())
    theirs = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in graph.node
        if node.op == "Const"
    }
    with np.load(tmp_path / "read.npz") as ours:
        assert set(ours) == set(variables(Graph(classes=5, depth_multiplier=0.25, aux=False)))
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("packed", [False, True], ids=[".ckpt", ".tar.gz"])
def test_a_checkpoint_says_what_to_do(
    narrow_slim_files: SlimFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    v1 = narrow_slim_files.v1
    path = tar_gz(tmp_path / "v1.tar.gz", v1) if packed else v1
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(WeightsError, match="`pip install tensorflow`") as caught:
        formats.read(path)
    assert caught.value.exit_code == 5
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["train", "nowhere", "-o", "x.safetensors", "--mode", "full"],
            "--mode full is done with TensorFlow",
        ),
        (["classify", "-w", "demo", "--device", "gpu", "x.jpg"], "a GPU is run with TensorFlow"),
    ],
)
def test_what_needs_it_says_so(arguments: list[str], told: str) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = None; from inceptioncli.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert told in line
    assert "pip install" in line
