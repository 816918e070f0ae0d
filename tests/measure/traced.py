"""Traces that are small, or that no card is needed for."""

import time

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from torch.utils.data import DataLoader, Dataset

STEPS = 2


class Slow(Dataset):
    def __len__(self):
        return 4 * (1 + STEPS)

    def __getitem__(self, index):
        time.sleep(0.002)
        return torch.full((8, 8), float(index))


def load_and_compute():
    """Profile a loop over a DataLoader."""
    plan = schedule(wait=0, warmup=1, active=STEPS, repeat=1)
    with profile(activities=[ProfilerActivity.CPU], schedule=plan) as profiler:
        for batch in DataLoader(Slow(), batch_size=4):
            batch @ batch
            profiler.step()
    return profiler


def on_a_card():
    """A trace in torch's format of a step that launches one kernel of 400 µs, which ends after the step."""
    thread = {"ph": "X", "pid": 7, "tid": 7}
    card = {"ph": "X", "pid": 0, "tid": 3}
    shape = {"grid": [8, 1, 1], "block": [128, 1, 1], "registers per thread": 32, "shared memory": 0}
    kernel = {
        "External id": 2, "correlation": 9, "device": 0, "context": 1, "stream": 3, "queued": 0,
        "blocks per SM": 0.5, "warps per SM": 2.0, "est. achieved occupancy %": 30, **shape,
    }  # fmt: skip
    events = [
        {**thread, "cat": "user_annotation", "name": "ProfilerStep#1", "ts": 0, "dur": 300,
         "args": {"External id": 1}},
        {**thread, "cat": "cpu_op", "name": "aten::mm", "ts": 10, "dur": 100, "args": {"External id": 2}},
        {**thread, "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 20, "dur": 5,
         "args": {"External id": 2, "cbid": 211, "correlation": 9}},
        {**card, "cat": "kernel", "name": "gemm", "ts": 100, "dur": 400, "args": kernel},
        {**card, "cat": "gpu_user_annotation", "name": "ProfilerStep#1", "ts": 100, "dur": 400,
         "args": {"External id": 1}},
    ]  # fmt: skip
    device = {"id": 0, "name": "card", "totalGlobalMem": 2**30, "computeMajor": 9, "computeMinor": 0,
              "maxThreadsPerBlock": 1024, "warpSize": 32, "numSms": 16}  # fmt: skip
    return {"schemaVersion": 1, "deviceProperties": [device], "traceEvents": events}
