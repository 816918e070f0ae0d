import shutil

from swatbench.data.sources import load_dataset
from tests.data.refusals import refused


def test_a_cut_parquet_file_is_refused(make_data):
    data, root = make_data("hfds")
    path = next(root.glob("data/train*"))
    path.write_bytes(path.read_bytes()[:-1000])
    what = refused(data)
    assert "it cannot be opened (Parquet magic bytes not found" in what


def test_datasets_writes_nothing_on_the_terminal(make_data, capfd):
    data, _ = make_data("hfds")
    load_dataset(data)
    refused(data.model_copy(update={"test_split": "none"}))
    assert capfd.readouterr() == ("", "")


def test_labels_that_are_no_numbers_are_refused(make_data, tmp_path):
    import datasets

    data, root = make_data("hfds")
    path = next(root.glob("data/train*"))
    rows = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "other"))
    labels = ["a"] * len(rows)
    rows.remove_columns("label").add_column("label", labels).to_parquet(str(path))
    shutil.copy(path, next(root.glob("data/validation*")))
    assert "labels are no whole numbers" in refused(data)
