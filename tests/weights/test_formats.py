"""Every layout is read to the same arrays; every defect is named."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from inceptioncli.architecture import Graph
from inceptioncli.errors import UsageError, WeightsError
from inceptioncli.labels import Label
from inceptioncli.summary import variables
from inceptioncli.weights import formats
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights
from tests.oracles import keras as keras_oracle
from tests.oracles.slim import SlimFiles

pytestmark = pytest.mark.slow


def assert_same_arrays(ours: Weights, theirs: Weights) -> None:
    assert list(ours.arrays) == list(theirs.arrays)
    for name, array in theirs.arrays.items():
        np.testing.assert_array_equal(ours.arrays[name], array, err_msg=name)


def tar_gz(path: Path, *files: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        note = tarfile.TarInfo("imagenet_slim_labels.txt")
        note.size = 5
        archive.addfile(note, io.BytesIO(b"dummy"))
        for file in files:
            archive.add(file, file.name)
    return path


# Keras


@pytest.mark.parametrize("layout", ["new.weights.h5", "whole.h5"])
def test_todays_keras_layouts_equal_the_published_one(
    keras_model: Any, published_file: Path, tmp_path: Path, layout: str
) -> None:
    path = tmp_path / layout
    (keras_model.save_weights if layout.endswith("weights.h5") else keras_model.save)(path)
    published = formats.read(published_file)
    assert published.model.graph == Graph(classes=1000, aux=False)
    assert_same_arrays(formats.read(path), published)


def test_a_later_models_layer_numbers_do_not_matter(tmp_path: Path) -> None:
    keras_oracle.random_model(seed=4, classes=3)  # takes a run of layer numbers
    model = keras_oracle.random_model(seed=4, classes=3)
    first_conv = next(layer.name for layer in model.layers if layer.name.startswith("conv2d"))
    assert first_conv != "conv2d"
    model.save_weights(tmp_path / "later.weights.h5")
    keras_oracle.save_published_layout(model, tmp_path / "published.h5")
    later = formats.read(tmp_path / "later.weights.h5")
    assert later.model.graph.classes == 3
    assert_same_arrays(later, formats.read(tmp_path / "published.h5"))


def test_keras_without_top_has_no_classifier(keras_model: Any, tmp_path: Path) -> None:
    keras_oracle.save_published_layout(keras_model, tmp_path / "notop.h5", top=False)
    graph = formats.read(tmp_path / "notop.h5").model.graph
    assert graph.classes == 0
    assert graph.end_points[-1] == "PreLogits"


# slim


def test_slim_checkpoints_and_frozen_graph_hold_the_same(
    slim_files: SlimFiles, tmp_path: Path
) -> None:
    v1 = formats.read(slim_files.v1)
    assert v1.model.graph == Graph(classes=1001, aux=True)
    assert v1.model.label_offset == 1
    shard = slim_files.v2.with_name(f"{slim_files.v2.name}.data-00000-of-00001")
    for v2 in (slim_files.v2, Path(f"{slim_files.v2}.index"), shard):
        assert_same_arrays(formats.read(v2), v1)

    # What is frozen at Predictions has lost the aux head, as the published graph has.
    frozen = formats.read(slim_files.frozen)
    assert frozen.model.graph == Graph(classes=1001, aux=False)
    assert set(v1.arrays) - set(frozen.arrays) == {n for n in v1.arrays if "AuxLogits" in n}
    for name, array in frozen.arrays.items():
        np.testing.assert_array_equal(array, v1.arrays[name], err_msg=name)
    archive = tar_gz(tmp_path / "frozen.pb.tar.gz", slim_files.frozen)
    assert_same_arrays(formats.read(archive), frozen)


def test_a_slim_files_image_size_is_asked_for(slim_files: SlimFiles) -> None:
    assert formats.read(slim_files.frozen, image_size=150).model.graph.image_size == 150
    with pytest.raises(UsageError, match=r"--image-size 150 asked for, but the file says 299"):
        formats.read(slim_files.v1, image_size=150)  # by its aux head


def test_narrow_slim_checkpoints_tell_their_width(
    narrow_slim_files: SlimFiles, tmp_path: Path
) -> None:
    files = narrow_slim_files
    v1 = formats.read(files.v1)
    assert v1.model.graph == Graph(classes=5, depth_multiplier=0.25, aux=True)
    index, shard = formats.files_of(files.v2)
    assert_same_arrays(formats.read(tar_gz(tmp_path / "v1.tar.gz", files.v1)), v1)
    assert_same_arrays(formats.read(tar_gz(tmp_path / "v2.tar.gz", index, shard)), v1)


def test_an_archives_paths_lead_nowhere(narrow_slim_files: SlimFiles, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
        archive.add(narrow_slim_files.frozen, "../../evil.pb")
    formats.read(tmp_path / "evil.tar.gz")
    assert not list(tmp_path.parent.parent.glob("evil.pb"))


# ours


def test_safetensors_hold_the_whole_model(tmp_path: Path) -> None:
    labels = tuple(Label(f"n0000000{i}" if i else None, f"thing é {i}") for i in range(7))
    weights = random_weights(
        SMALL_GRAPH, labels=labels, label_offset=1, crop=0.875, source="x.h5", source_sha256="ab"
    )
    path = tmp_path / "model.safetensors"
    write_safetensors(path, weights)
    back = formats.read(path)
    assert back.model == weights.model
    assert_same_arrays(back, weights)

    # Read with nothing of ours: slim's names, and metadata that is JSON.
    assert sorted(load_file(path)) == sorted(variables(SMALL_GRAPH))
    with safe_open(path, "numpy") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items()}
    assert metadata["classes"][1] == {"id": "n00000001", "label": "thing é 1"}
    assert metadata["label_offset"] == 1
    assert metadata["crop"] == 0.875
    assert metadata["image_size"] == 75
    assert metadata["depth_multiplier"] == 0.1
    assert (metadata["source"], metadata["source_sha256"]) == ("x.h5", "ab")


def test_the_same_model_is_the_same_bytes(tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH, source='quotes " and é and \x07 and \u2028')
    contents = set()
    for number in range(4):
        path = tmp_path / f"{number}.safetensors"
        write_safetensors(path, weights)
        contents.add(path.read_bytes())
        assert formats.read(path).model == formats.read(tmp_path / "0.safetensors").model
    assert len(contents) == 1


def test_float16_safetensors_are_read_as_float32(tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH)
    half = {name: array.astype(np.float16) for name, array in weights.arrays.items()}
    save_file(half, tmp_path / "half.safetensors", metadata=weights.model.to_metadata())
    back = formats.read(tmp_path / "half.safetensors")
    for name, array in back.arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, half[name].astype(np.float32))


# Defects


def damaged_keras(source: Path, path: Path, damage: Callable[[h5py.File], None]) -> Path:
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        damage(file)
    return path


def _replace(name: str, change: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        array = change(file[name][()])
        del file[name]
        file[name] = array

    return damage


def _set(value: float) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array.flat[3] = value
        return array

    return change


def _delete(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            _delete("conv2d_94/conv2d_94/kernel:0"),
            r"InceptionV3/Mixed_7c/Branch_3/Conv2d_0b_1x1/weights is missing",
        ),
        (
            _delete("batch_normalization_5/batch_normalization_5/beta:0"),
            r"InceptionV3/Conv2d_4a_3x3/BatchNorm/beta is missing",
        ),
        (
            _delete("predictions/predictions/kernel:0"),
            r"InceptionV3/Logits/Conv2d_1c_1x1/weights is missing",
        ),
        (_delete("conv2d_7"), r"93 conv2d layers; expected the 94 .*number 7 is missing"),
        (
            _delete("batch_normalization_9/batch_normalization_9/moving_mean:0"),
            r"InceptionV3/Mixed_5b/Branch_2/Conv2d_0a_1x1/BatchNorm/moving_mean is missing",
        ),
        (
            _delete("predictions/predictions/bias:0"),
            r"InceptionV3/Logits/Conv2d_1c_1x1/biases is missing",
        ),
        (
            _replace("conv2d_5/conv2d_5/kernel:0", lambda a: a[..., :64]),
            r"conv2d_5/kernel:0 \(InceptionV3/Conv2d_4a_3x3/weights\) has shape 3x3x80x64; "
            r"expected 3x3x80x192",
        ),
        (
            _replace("conv2d_94/conv2d_94/kernel:0", lambda a: a.transpose(3, 2, 0, 1)),
            r"conv2d_94.* has shape 192x2048x1x1; expected 1x1x2048x192",
        ),
        (
            _replace("conv2d_3/conv2d_3/kernel:0", _set(np.nan)),
            r"conv2d_3/kernel:0 .*holds NaN or infinite values",
        ),
        (
            _replace("predictions/predictions/kernel:0", _set(np.inf)),
            r"predictions/kernel:0 .*holds NaN or infinite values",
        ),
        (
            _replace("batch_normalization_2/batch_normalization_2/moving_variance:0", _set(-1.0)),
            r"negative variances",
        ),
    ],
)
def test_defects_of_a_keras_file_are_named(
    published_file: Path, tmp_path: Path, damage: Callable[[h5py.File], None], message: str
) -> None:
    path = damaged_keras(published_file, tmp_path / "bad.h5", damage)
    with pytest.raises(WeightsError, match=message) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def without(name: str, weights: Weights) -> dict[str, Any]:
    return {other: array for other, array in weights.arrays.items() if other != name}


def test_defects_of_our_files_are_named(tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH)
    metadata = weights.model.to_metadata()
    name = "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/weights"
    path = tmp_path / "bad.safetensors"

    save_file(without(name, weights), path, metadata=metadata)
    with pytest.raises(WeightsError, match=f"variable {name} is missing"):
        formats.read(path)
    save_file(dict(weights.arrays), path)
    with pytest.raises(WeightsError, match=r"metadata field .* is missing"):
        formats.read(path)
    save_file(dict(weights.arrays), path, metadata={**metadata, "crop": "7"})
    with pytest.raises(WeightsError, match="crop 7"):
        formats.read(path)
    save_file(dict(weights.arrays), path, metadata={**metadata, "num_classes": "8"})
    with pytest.raises(WeightsError, match="7 labels, but the model has 8 classes"):
        formats.read(path)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("layout", ["keras", "v1", "v2", "frozen", "tar", "safetensors"])
def test_cut_off_files_are_errors_of_one_line(
    layout: str,
    fraction: float,
    published_file: Path,
    narrow_slim_files: SlimFiles,
    small_weights: Path,
    tmp_path: Path,
) -> None:
    whole = {
        "keras": published_file,
        "v1": narrow_slim_files.v1,
        "v2": formats.files_of(narrow_slim_files.v2)[1],
        "frozen": narrow_slim_files.frozen,
        "tar": narrow_slim_files.frozen,
        "safetensors": small_weights,
    }[layout]
    if layout == "tar":
        whole = tar_gz(tmp_path / "whole.tar.gz", whole)
    path = tmp_path / whole.name
    if layout == "v2":
        shutil.copy(formats.files_of(narrow_slim_files.v2)[0], tmp_path)
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * fraction)])
    with pytest.raises(WeightsError) as caught:
        formats.read(path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"hello, this is no weight file at all", "no layout that is known"),
        (b"\nhello, this starts like a frozen graph", "damaged frozen graph"),
        (b"PK\x03\x04 and so on, a zip archive", "damaged zip archive"),
        (b"\x89HDF\r\n\x1a\nrubbish", "damaged HDF5"),
        (b"\x1f\x8brubbish rubbish rubbish", "damaged archive"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        formats.read(path)


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for number in range(1, 10):
            file[f"conv2d_{number}/kernel:0"] = np.zeros((3, 3, 4, 4))
    with pytest.raises(WeightsError, match="9 conv2d layers; expected the 94"):
        formats.read(tmp_path / "other.h5")


def test_a_gamma_is_folded(published_file: Path, tmp_path: Path) -> None:
    """Leaving it out would give wrong numbers without a word."""

    def add_gamma(file: h5py.File) -> None:
        file["batch_normalization_1/batch_normalization_1/gamma:0"] = np.full(32, 3.0)

    path = damaged_keras(published_file, tmp_path / "gamma.h5", add_gamma)
    plain, scaled = formats.read(published_file).arrays, formats.read(path).arrays
    assert list(plain) == list(scaled)
    first = "InceptionV3/Conv2d_1a_3x3"
    for name, array in plain.items():
        factor = 3 if name in (f"{first}/weights", f"{first}/BatchNorm/moving_mean") else 1
        np.testing.assert_allclose(scaled[name], array * factor, rtol=1e-6, err_msg=name)


def test_a_folder_and_a_missing_shard(tmp_path: Path, narrow_slim_files: SlimFiles) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        formats.read(tmp_path)
    index = formats.files_of(narrow_slim_files.v2)[0]
    shutil.copy(index, tmp_path / "lonely.index")
    with pytest.raises(WeightsError, match=r"has no lonely\.data"):
        formats.read(tmp_path / "lonely")
