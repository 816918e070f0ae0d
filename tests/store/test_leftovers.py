"""What killed processes leave behind goes, and nothing else does."""

from swatbench.store.atomic import tidy
from swatbench.store.leftovers import CHECKPOINTS, sweep_finished
from swatbench.store.lock import LOCK, take


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return sorted(str(path.relative_to(folder)) for path in paths)


def test_half_written_files_of_a_cell_go_and_its_checkpoints_stay(tmp_path):
    kept = ["checkpoints/.incoming.ckpt.0a.tmp", "checkpoints/newest.ckpt", "record.json", "tmp", "x.tmp"]
    make(tmp_path, *kept, ".record.json.0a.tmp", ".weights.safetensors.0b.tmp")
    tidy(tmp_path)
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
    assert names(tmp_path) == ["record.json"]
    assert not (tmp_path / CHECKPOINTS).exists()
    sweep_finished(tmp_path)
    tidy(tmp_path / "missing")


def test_what_a_run_has_is_left_to_it(tmp_path):
    make(tmp_path, "record.json", "checkpoints/newest.ckpt")
    held = take(tmp_path / LOCK)
    assert held is not None
    sweep_finished(tmp_path)
    assert names(tmp_path) == ["checkpoints/newest.ckpt", "record.json"]
    held.close()
