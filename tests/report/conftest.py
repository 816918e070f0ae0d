"""A small world of synthetic records, written in the store's own layout."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swatbench.report.page import asked_of
from swatbench.report.section import Section, sections
from swatbench.report.selection import parse
from swatbench.spec.catalog import ARMS, PAIRS, parts_of
from swatbench.spec.cells import CostCell, Resolution, TrainCell
from swatbench.spec.suite import Cost, Data, Recipe, Suite
from swatbench.store.asked import write_asked
from swatbench.store.files import cell_folder, read_suite, write_arrays, write_curve, write_record
from swatbench.store.record import (
    ArmCost,
    CostResult,
    CurvePoint,
    Environment,
    Failure,
    OperatorMacs,
    Quantiles,
    Record,
    Timing,
    TrainResult,
)

ENVIRONMENT = Environment(
    machine="some-cpu-2-cores",
    processor="Some CPU <2.4 GHz> & co",
    cores=2,
    memory_bytes=8 * 2**30,
    accelerator=None,
    system="Debian GNU/Linux 12",
    python="3.11.2",
    packages={"torch": "2.15.0", "timm": "1.0.31"},
    git_commit="0123456789abcdef0123456789abcdef01234567",
    git_dirty=False,
    swatbench="0.1.0",
)
RESOLUTION = Resolution(device="cpu", precision="bf16", fused_attention=False, data_digest="d" * 64)
RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=2e-3)
IMAGES = 400
START = datetime(2025, 3, 1, 12, tzinfo=UTC)


@dataclass
class World:
    """Writes cells of one suite; every method returns the cell's folder."""

    results: Path
    suite: str = "toy"
    machine: str = "some-cpu-2-cores"
    minute: int = 0
    environment: Environment = ENVIRONMENT
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
        deterministic: bool = True,
        labels: np.ndarray | None = None,
        data: Data | None = None,
        lie: int = 0,
        **changes: Any,
    ) -> Path:
        asked = RECIPE.model_copy(update=recipe or {})
        cell = TrainCell(
            pair=PAIRS[pair].as_dict(),
            arm=arm,
            parts=parts_of(PAIRS[pair], arm),
            seed=seed,
            data=data or Data(source="cifar10_subset"),
            recipe=asked,
            resolution=RESOLUTION.model_copy(update=resolution or {}),
            threads=1,
            deterministic=deterministic,
        )
        folder = cell_folder(self.results, self.suite, self.machine, cell.id)
        folder.mkdir(parents=True, exist_ok=True)
        predictions = self._predictions(percent, seed, labels)
        correct = int((predictions["predicted"] == predictions["label"]).sum())
        result = {
            "params": 140_000 + 30_000 * len(ARMS[arm]),
            "test_images": IMAGES,
            "correct": correct + lie,
            "top1_percent": 100 * correct / IMAGES,
            "top5_percent": min(100.0, 100 * correct / IMAGES + 25),
            "test_loss": 1.4,
            "train_s": 40.0,
            "images_seen": 15_000,
            "order_sha256": f"order{seed}",
            "augmentation_sha256": f"augmentation{seed}",
            "shared_init_sha256": {"head.weight": f"head{seed}", f"{arm}.weight": f"own{seed}"},
            "recipe_sha256": hashlib.sha256(asked.model_dump_json().encode()).hexdigest(),
        }
        points = [
            CurvePoint(
                epoch=epoch,
                step=epoch * 78,
                loss=2.2 - 0.2 * epoch - percent / 200 + 0.03 * seed,
                learning_rate=1e-3,
                top1_percent=percent * (0.55 + 0.15 * epoch) + seed,
                compute_s=10.0,
                data_s=0.2,
            )
            for epoch in (1, 2, 3)
        ]
        shas = {
            "predictions.npz": write_arrays(folder, "predictions.npz", predictions),
            "curve.jsonl": write_curve(folder, points),
        }
        return self._write(folder, cell, train=TrainResult(**(result | changes)), files=shas)

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
    ) -> Path:
        cell = CostCell(
            pair=PAIRS[pair].as_dict(),
            arms={arm: parts_of(PAIRS[pair], arm) for arm in arms},
            num_classes=10,
            cost=cost or Cost(),
            resolution=RESOLUTION.model_copy(update={"data_digest": None}),
            threads=2,
        )
        folder = cell_folder(self.results, self.suite, self.machine, cell.id)
        folder.mkdir(parents=True, exist_ok=True)
        samples = self._samples(arms, slowdown, rounds, training=training)
        result = CostResult(
            reference=arms[0],
            arms=tuple(
                self._arm(arm, macs, samples, training=training, agree=arm not in disagree) for arm in arms
            ),
            batch_size=64,
            img_size=32,
            device="cpu",
            dtype="bf16",
            threads=2,
            memory_kind="resident growth",
            measured="one forward pass on a resident batch",
            timings=(
                Timing(protocol="inference", calls_per_sample=4, settled=settled, stopped_by="precision"),
                Timing(protocol="training", calls_per_sample=1, settled=True, stopped_by="budget"),
            )[: 2 if training else 1],
        )
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
        return sections(parsed.trained, parsed.measured, listing.failed, asked)

    def ask(self, *folders: Path, description: str = "") -> None:
        """Leave what the last run asked for: the cells of these folders."""
        suite = Suite(
            name=self.suite,
            description=description,
            pairs=("deit_mini",),
            seeds=(0,),
            data=Data(source="cifar10_subset"),
            recipe=RECIPE,
        )
        machine = self.results / self.suite / self.machine
        machine.mkdir(parents=True, exist_ok=True)
        write_asked(machine, suite, tuple(folder.name for folder in folders))

    def quickstart(self, seeds: tuple[int, ...] = (0, 1)) -> None:
        for pair, base in (("deit_mini", 44.0), ("mixer_mini", 48.0)):
            for seed in seeds:
                self.train(pair, "baseline", seed, percent=base + seed)
                self.train(pair, "swat", seed, percent=base + 9 + 2.5 * seed)
        self.cost("deit_mini", slowdown=1.37)
        self.cost("mixer_mini", slowdown=1.0, macs=9_000_000)

    def _predictions(self, percent: float, seed: int, labels: np.ndarray | None) -> dict[str, np.ndarray]:
        label = (self.labels if labels is None else labels).astype(np.int64)
        right = np.random.default_rng(seed).permutation(IMAGES) < round(percent / 100 * IMAGES)
        predicted = np.where(right, label, (label + 1) % 10)
        margin = np.where(right, 1.0, -1.0).astype(np.float32)
        return {"label": label, "predicted": predicted, "margin": margin, "loss": np.abs(margin)}

    def _samples(
        self, arms: tuple[str, ...], slowdown: float, rounds: int, *, training: bool
    ) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(len(arms) + rounds)
        samples = {}
        for protocol, base in (("inference", 0.02), ("training", 0.06))[: 2 if training else 1]:
            load = base * np.exp(rng.normal(0, 0.1, rounds))
            for name in (*arms, "twin"):
                factor = 1.0 if name in (arms[0], "twin") else slowdown
                samples[f"{protocol}/{name}"] = factor * load * np.exp(rng.normal(0, 0.01, rounds))
        return samples

    def _arm(
        self, arm: str, macs: int, samples: dict[str, np.ndarray], *, training: bool, agree: bool
    ) -> ArmCost:
        parts = len(ARMS[arm])

        def quantiles(protocol: str) -> Quantiles:
            times = samples[f"{protocol}/{arm}"]
            p05, p50, p95 = np.quantile(times, (0.05, 0.5, 0.95)).tolist()
            return Quantiles(n=times.size, p50=p50, p05=p05, p95=p95)

        own = round(macs * (1 + 0.04 * parts))
        return ArmCost(
            arm=arm,
            params=140_000 + 30_000 * parts,
            macs=own,
            macs_matmul=own - 1000,
            macs_torch=own - 1000 if agree else own,
            macs_agree=agree,
            macs_by_operator=(OperatorMacs(operator="linear", macs=own),),
            inference_s=quantiles("inference"),
            training_s=quantiles("training") if training else None,
            inference_peak_bytes=(60 + 3 * parts) * 2**20,
            training_peak_bytes=(200 + 40 * parts) * 2**20 if training else None,
        )

    def _write(self, folder: Path, cell: TrainCell | CostCell, **result: Any) -> Path:
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


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(results=tmp_path / "results")
