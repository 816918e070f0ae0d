"""A small world of synthetic records, written in the store's own layout."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swatbench.report import canvas
from swatbench.report.page import asked_of
from swatbench.report.section import Section, sections
from swatbench.report.selection import parse
from swatbench.spec.catalog import ARMS, PAIRS, parts_of
from swatbench.spec.cells import CostCell, EvaluateCell, TrainCell
from swatbench.spec.cost import Cost, Layout, Mode, Precision
from swatbench.spec.data import Data, TestSet
from swatbench.spec.segmentation import Segmentation
from swatbench.spec.suite import Suite
from swatbench.store.asked import write_asked
from swatbench.store.cost import CostResult, Timing
from swatbench.store.files import cell_folder, read_suite, write_arrays, write_record
from swatbench.store.record import Environment, Evaluated, EvaluationResult, Failure, Record, TrainResult
from swatbench.store.rows import write_rows
from tests.report.contents import (
    DTYPES,
    ENVIRONMENT,
    IMAGES,
    PEAKS,
    RECIPE,
    RESOLUTION,
    SPEED,
    START,
    STATES,
    V2,
    arm_cost,
    curve_of,
    measured_further,
    samples_of,
    swept_of,
)
from tests.report.measured import detail
from tests.report.segmented import (
    CLASSES,
    MULTI,
    TEST_IMAGES,
    evaluated_of,
    mask_curve,
    masks_of,
    segmentation_of,
)
from tests.report.segmented import counts_of as mask_counts


@dataclass
class World:
    """Writes cells of one suite; every method returns the cell's folder."""

    results: Path
    suite: str = "toy"
    machine: str = "some-cpu-2-cores"
    minute: int = 0
    environment: Environment = ENVIRONMENT
    classes: int = 10
    labels: np.ndarray = field(default_factory=lambda: np.arange(IMAGES) % 10)

    def train(
        self,
        pair: str = "deit_mini",
        arm: str = "baseline",
        seed: int = 0,
        *,
        percent: float = 50.0,
        recipe: Mapping[str, Any] | None = None,
        resolution: Mapping[str, Any] | None = None,
        cell: Mapping[str, Any] | None = None,
        labels: np.ndarray | None = None,
        data: Data | None = None,
        lie: int = 0,
        ema: bool = False,
        **changes: Any,
    ) -> Path:
        """A training run; `ema` tests a moving average too, three points better than the weights."""
        asked = RECIPE.model_copy(update=recipe or {})
        asked_cell = TrainCell(
            pair=PAIRS[pair].as_dict(),
            arm=arm,
            parts=parts_of(PAIRS[pair], arm),
            seed=seed,
            data=data or Data(source="cifar10_subset"),
            recipe=asked,
            resolution=RESOLUTION.model_copy(update=resolution or {}),
            speed=SPEED,
            micro_batch_size=32,
            streams=None,
            threads=1,
            deterministic=True,
        ).model_copy(update=cell or {})
        folder = self._folder(asked_cell.id)
        tests = [self._test(folder, "predictions.npz", percent, seed, labels, lie, "ema" if ema else "raw")]
        if ema:
            tests += [self._test(folder, "predictions-raw.npz", percent - 3, seed, labels, lie, "raw")]
        own = tests[0]
        result = {
            "weights": own.weights,
            "params": 140_000 + 30_000 * len(ARMS[arm]),
            "test_images": IMAGES,
            "correct": own.correct,
            "top1_percent": own.top1_percent,
            "top5_percent": own.top5_percent,
            "test_loss": own.loss,
            "train_s": 40.0,
            "data_s": 1.0,
            "images_seen": 15_000,
            "order_sha256": f"order{seed}",
            "augmentation_sha256": f"augmentation{seed}",
            "shared_init_sha256": {"head.weight": f"head{seed}", f"{arm}.weight": f"own{seed}"},
            "recipe_sha256": hashlib.sha256(asked.model_dump_json().encode()).hexdigest(),
            "evaluated": tuple(tests),
        }
        shas = self._shas(folder, tests) | {
            "curve.jsonl": write_rows(folder, "curve.jsonl", curve_of(percent, seed, ema=ema)),
        }
        return self._write(folder, asked_cell, train=TrainResult(**(result | changes)), files=shas)

    def segment(
        self,
        pair: str = "swin_mini",
        arm: str = "baseline",
        seed: int = 0,
        *,
        miou: float = 40.0,
        classes: tuple[str, ...] = CLASSES,
        images: int = TEST_IMAGES,
        segmentation: Mapping[str, Any] | None = None,
        backbone: str | None = None,
        further: bool = False,
        ema: bool = False,
        shown: int = 2,
        lie: float = 0.0,
        cell: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        """A training run of a segmenter; `further` tests in a second way, `ema` a moving average too."""
        asked = segmentation_of(pair, shown=shown, **(segmentation or {}))
        if further:
            asked = asked.model_copy(update={"tests": (*asked.tests, MULTI)})
        asked_cell = TrainCell(
            pair=PAIRS[pair].as_dict(),
            arm=arm,
            parts=parts_of(PAIRS[pair], arm),
            seed=seed,
            data=Data(
                source="masks",
                root="masks",
                train_images=80,
                test_images=images,
                num_classes=len(classes),
            ),
            recipe=RECIPE,
            resolution=RESOLUTION,
            speed=SPEED,
            micro_batch_size=32,
            streams=None,
            threads=1,
            deterministic=True,
            segmentation=asked,
            backbone=backbone,
        ).model_copy(update=cell or {})
        folder = self._folder(asked_cell.id)
        first, kind = asked.tests[0].name, "ema" if ema else "raw"
        wanted = [("predictions.npz", kind, first, miou)]
        wanted += [("predictions-raw.npz", "raw", first, miou - 3)] if ema else []
        wanted += [(f"predictions-{MULTI.name}.npz", kind, MULTI.name, miou + 2)] if further else []
        tests: list[Evaluated] = []
        for file, weights, inference, percent in wanted:
            counts = mask_counts(percent / 100, 10 * seed + len(arm), images=images, classes=len(classes))
            write_arrays(folder, file, counts)
            tests.append(evaluated_of(counts, weights, inference, file))
        own = tests[0] = tests[0].model_copy(update={"miou_percent": tests[0].score_percent + lie})
        result = {
            "weights": own.weights,
            "params": 140_000 + 30_000 * len(ARMS[arm]),
            "test_images": images,
            **{name: getattr(own, name) for name in ("inference", "miou_percent")},
            "mean_accuracy_percent": own.mean_accuracy_percent,
            "pixel_accuracy_percent": own.pixel_accuracy_percent,
            "test_loss": own.loss,
            "train_s": 40.0,
            "images_seen": 15_000,
            "order_sha256": f"order{seed}",
            "augmentation_sha256": f"augmentation{seed}",
            "shared_init_sha256": {"head.weight": f"head{seed}", f"{arm}.weight": f"own{seed}"},
            "recipe_sha256": "recipe",
            "classes": classes,
            "evaluated": tuple(tests),
        }
        shas = self._shas(folder, tests)
        shas["curve.jsonl"] = write_rows(folder, "curve.jsonl", mask_curve(miou, ema=ema))
        if shown:
            masks = masks_of(shown, seed, arm, classes=len(classes))
            shas["masks.npz"] = write_arrays(folder, "masks.npz", masks)
        return self._write(folder, asked_cell, train=TrainResult(**(result | changes)), files=shas)

    def segmented(self, seeds: tuple[int, ...] = (0, 1, 2), pair: str = "swin_mini", **changes: Any) -> None:
        """Two arms of a pair, of which the second gains four points, more or less."""
        for seed in seeds:
            self.segment(pair, "baseline", seed, miou=40.0 + 0.5 * seed, **changes)
            self.segment(pair, "swat", seed, miou=44.0 + 0.8 * seed, **changes)

    def evaluate(
        self,
        trained: Path,
        test: TestSet | None = V2,
        *,
        percent: float = 40.0,
        kinds: tuple[str, ...] = ("raw",),
        labels: np.ndarray | None = None,
        images: int = IMAGES,
        changes: Mapping[str, Any] | None = None,
    ) -> Path:
        """The test of a trained model on a further set."""
        record = Record.model_validate_json((trained / "record.json").read_text())
        cell = EvaluateCell(
            pair=record.cell["pair"],
            arm=record.cell["arm"],
            parts=tuple(record.cell["parts"]),
            seed=record.cell["seed"],
            weights=record.digest,
            test=test,
            data=Data(source="cifar10_subset"),
            resolution=RESOLUTION,
            threads=1,
        ).model_copy(update=changes or {})
        folder = self._folder(cell.id)
        tests = tuple(
            self._test(folder, f"predictions{index or ''}.npz", percent, cell.seed or 0, labels, 0, kind)
            for index, kind in enumerate(kinds)
        )
        tests = tuple(item.model_copy(update={"images": images}) for item in tests)
        result = EvaluationResult(
            test=test.name if test else "test", model=record.pair, params=140_000, evaluated=tests
        )
        return self._write(folder, cell, evaluation=result, files=self._shas(folder, tests))

    def further(self, *, seeds: tuple[int, ...] = (0, 1), gain: float = 6.0) -> None:
        """Two arms of the small DeiT, trained and tested on one further set."""
        for seed in seeds:
            self.evaluate(self.train(arm="baseline", seed=seed, percent=50.0), percent=30.0 + seed)
            self.evaluate(self.train(arm="swat", seed=seed, percent=60.0), percent=30.0 + gain + 3 * seed)

    @staticmethod
    def answer_with_another_label(folder: Path) -> None:
        """Let every image be answered with a label that is not the one in the file."""
        with np.load(folder / "predictions.npz") as arrays:
            found = dict(arrays)
        found["predicted"] = (found["label"] + 1) % 10
        sha = write_arrays(folder, "predictions.npz", found)
        record = Record.model_validate_json((folder / "record.json").read_text())
        write_record(folder, record.model_copy(update={"files": {"predictions.npz": sha}}))

    def cost(
        self,
        pair: str = "deit_mini",
        arms: tuple[str, ...] = ("baseline", "swat"),
        *,
        slowdown: float = 1.4,
        rounds: int = 30,
        training: bool = True,
        macs: int = 13_000_000,
        disagree: tuple[str, ...] = (),
        settled: bool = True,
        cost: Cost | None = None,
        keep_samples: bool = True,
        mode: Mode = "eager",
        layout: Layout = "contiguous",
        precision: Precision = "bf16",
        sweep: tuple[int, ...] = (),
        full: bool = False,
        segmentation: Segmentation | None = None,
        input_size: tuple[int, int, int] = (3, 32, 32),
        **changes: Any,
    ) -> Path:
        """A measurement in one condition; `full` adds traffic, peaks, parts of the memory and states."""
        cell = CostCell(
            pair=PAIRS[pair].as_dict(),
            arms={arm: parts_of(PAIRS[pair], arm) for arm in arms},
            reference=arms[0],
            input_size=input_size,
            segmentation=segmentation,
            num_classes=10,
            cost=cost or Cost(),
            mode=mode,
            layout=layout,
            resolution=RESOLUTION.model_copy(update={"data_digest": None, "precision": precision}),
            threads=2,
        )
        folder = self._folder(cell.id)
        samples = samples_of(arms, slowdown, rounds, training=training, sweep=sweep)
        for form in changes.get("deployed", ()):
            samples[f"inference/{form.arm} deployed"] = 0.8 * samples[f"inference/{form.arm}"]
        costs = [arm_cost(arm, macs, samples, training=training, agree=arm not in disagree) for arm in arms]
        costs = [item.model_copy(update={"sweep": swept_of(item.arm, samples, sweep)}) for item in costs]
        result = CostResult(
            reference=arms[0],
            arms=tuple(measured_further(item) if full else item for item in costs),
            batch_size=64,
            input_size=input_size,
            device="cpu",
            dtype=DTYPES[precision],
            mode=mode,
            layout=layout,
            threads=2,
            peaks=PEAKS if full else None,
            states=STATES if full else (),
            energy_absent="the card has no energy counter" if full else None,
            memory_kind="resident growth",
            measured="one forward pass on a resident batch",
            timings=(
                Timing(protocol="inference", calls_per_sample=4, settled=settled, stopped_by="precision"),
                Timing(protocol="training", calls_per_sample=1, settled=True, stopped_by="budget"),
            )[: 2 if training else 1]
            + tuple(
                Timing(
                    protocol="inference", batch_size=n, calls_per_sample=2, settled=True, stopped_by="rounds"
                )
                for n in sweep
            ),
        ).model_copy(update=changes)
        shas = {"samples.npz": write_arrays(folder, "samples.npz", samples)} if keep_samples else {}
        return self._write(folder, cell, cost=result, files=shas)

    def fail(self, pair: str = "mixer_mini", arm: str = "swat", seed: int = 0, message: str = "loss") -> Path:
        folder = self.train(pair, arm, seed)
        failure = Failure(error="TrainingError", message=message, where="epoch 2")
        text = (folder / "record.json").read_text()
        record = Record.model_validate_json(text).model_copy(
            update={"status": "failed", "train": None, "failure": failure, "files": {}}
        )
        write_record(folder, record)
        return folder

    def gather(self) -> tuple[Section, ...]:
        """The sections of this suite's report."""
        listing = read_suite(self.results, self.suite)
        parsed = parse(listing.finished)
        asked = asked_of(self.results / self.suite)
        return sections(parsed, listing.failed, asked)

    def ask(
        self,
        *folders: Path,
        description: str = "",
        named: tuple[Path, ...] = (),
        margin_points: float | None = None,
        now: datetime = START,
    ) -> None:
        """Leave what the last run asked for: the cells of these folders, and weights that were named."""
        suite = Suite(
            name=self.suite,
            description=description,
            pairs=("deit_mini",),
            seeds=(0,),
            data=Data(source="cifar10_subset"),
            recipe=RECIPE,
            equivalence_margin_points=margin_points,
        )
        machine = self.results / self.suite / self.machine
        machine.mkdir(parents=True, exist_ok=True)
        write_asked(
            machine,
            suite,
            tuple(folder.name for folder in folders),
            now=now.isoformat(),
            named=tuple(folder.name for folder in named),
        )

    def quickstart(self, seeds: tuple[int, ...] = (0, 1)) -> None:
        for pair, base in (("deit_mini", 44.0), ("mixer_mini", 48.0)):
            for seed in seeds:
                self.train(pair, "baseline", seed, percent=base + seed)
                self.train(pair, "swat", seed, percent=base + 9 + 2.5 * seed)
        self.cost("deit_mini", slowdown=1.37)
        self.cost("mixer_mini", slowdown=1.0, macs=9_000_000)

    def _folder(self, cell_id: str) -> Path:
        folder = cell_folder(self.results, self.suite, self.machine, cell_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _test(
        self,
        folder: Path,
        file: str,
        percent: float,
        seed: int,
        labels: np.ndarray | None,
        lie: int,
        weights: Any,
    ) -> Evaluated:
        """Write the predictions of one kind of weights, and say what the record says of them."""
        label = (self.labels if labels is None else labels).astype(np.int64)
        right = np.random.default_rng(seed).permutation(IMAGES) < round(percent / 100 * IMAGES)
        margin = np.where(right, 1.0, -1.0).astype(np.float32)
        predicted = np.where(right, label, (label + 1) % 10)
        arrays = {"label": label, "predicted": predicted, "margin": margin, "loss": np.abs(margin)}
        write_arrays(folder, file, {**arrays, "confidence": np.full(IMAGES, 0.5, np.float32)})
        top1 = 100 * int(right.sum()) / IMAGES
        return Evaluated(
            weights=weights,
            images=IMAGES,
            correct=int(right.sum()) + lie,
            top1_percent=top1,
            top5_percent=min(100.0, top1 + 25),
            loss=1.4,
            calibration_error=0.08,
            per_class_percent=tuple(
                100 * float(right[label == k].mean()) if (label == k).any() else None
                for k in range(self.classes)
            ),
            file=file,
        )

    @staticmethod
    def _shas(folder: Path, tests: Sequence[Evaluated]) -> dict[str, str]:
        return {item.file: hashlib.sha256((folder / item.file).read_bytes()).hexdigest() for item in tests}

    def _write(self, folder: Path, cell: TrainCell | EvaluateCell | CostCell, **result: Any) -> Path:
        self.minute += 1
        record = Record(
            status="finished",
            suite=self.suite,
            cell_id=cell.id,
            digest=cell.digest,
            cell=cell.facts,
            environment=self.environment,
            started_at=(START + timedelta(minutes=self.minute)).isoformat(),
            duration_s=42.0,
            **result,
        )
        write_record(folder, record)
        return folder


DRAWN = {"test_figures", "test_browser", "test_latex", "test_frontiers", "test_scale"}
"""Modules whose tests look at figures; the others need a page with figures, not each of their files."""


@pytest.fixture(autouse=True)
def quick_drawings(request, monkeypatch):
    if request.module.__name__.rpartition(".")[2] not in DRAWN:
        monkeypatch.setattr(canvas, "_png", lambda _: b"\x89PNG")
        monkeypatch.setattr(canvas, "_pdf", lambda _, __: b"%PDF")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(results=tmp_path / "results")


@pytest.fixture
def pair(world):
    """Two arms that were measured with everything."""
    return detail(world.cost())


@pytest.fixture
def single(world):
    """One arm alone that was."""
    return detail(world.cost(arms=("baseline",)))
