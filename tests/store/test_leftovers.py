"""What killed processes leave behind goes, and nothing else does."""

from swatbench.store.leftovers import sweep, sweep_finished


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_half_written_files_of_a_cell_go_and_its_checkpoints_stay(tmp_path):
    kept = ["checkpoints/.incoming.ckpt.0a.tmp", "checkpoints/newest.ckpt", "record.json", "tmp", "x.tmp"]
    make(tmp_path, *kept, ".record.json.0a.tmp", ".weights.safetensors.0b.tmp")
    sweep(tmp_path)
    assert names(tmp_path) == kept


def test_the_last_states_of_a_finished_cell_go_and_those_kept_for_good_stay(tmp_path):
    last = ["newest.ckpt", "previous.ckpt", "incoming.ckpt", ".incoming.ckpt.0a.tmp"]
    make(
        tmp_path, "record.json", *(f"checkpoints/{name}" for name in (*last, "best.ckpt", "epoch-0004.ckpt"))
    )
    sweep_finished(tmp_path)
    assert names(tmp_path) == ["checkpoints/best.ckpt", "checkpoints/epoch-0004.ckpt", "record.json"]


def test_a_folder_without_anything_to_keep_goes_too(tmp_path):
    make(tmp_path, "record.json", "checkpoints/newest.ckpt")
    sweep_finished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
    sweep_finished(tmp_path)
    sweep(tmp_path / "missing")
