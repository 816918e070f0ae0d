"""Distributed training finds every parameter used, and its gradients are the mean over the processes."""

import socket

import timm
import torch
import torch.distributed as dist
from torch import nn

import swatbench  # noqa: F401 (registers the models)

MODELS = {
    "swat_deit_mini": {"img_size": 32},
    "swat_mixer_mini": {"img_size": 32},
    "swat_swin_t": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "swat_van_b2": {"img_size": 64, "depths": (1, 1, 1, 1)},
}
SEED = 0


def create(name):
    torch.manual_seed(SEED)
    model = timm.create_model(name, num_classes=5, **MODELS[name])
    if isinstance(head := model.get_classifier(), nn.Linear):
        nn.init.normal_(head.weight, std=0.02)
    return model


def images(name):
    side = MODELS[name]["img_size"]
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))


def step_twice(rank, port, results):
    """Two steps in one of two processes; DDP complains at the second one if a parameter was not used."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for name in MODELS:
        model = nn.parallel.DistributedDataParallel(create(name).eval())
        for _ in range(2):
            model.zero_grad()
            model(images(name)[2 * rank : 2 * rank + 2]).square().mean().backward()
        if rank == 0:
            results.put({key: value.grad.numpy() for key, value in model.module.named_parameters()})
    dist.destroy_process_group()


def test_two_processes_take_the_gradient_of_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=step_twice, args=(rank, port, results)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=200) for _ in MODELS]
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    for name, gradients in zip(MODELS, found, strict=True):
        alone = create(name).eval()
        alone(images(name)).square().mean().backward()
        for key, value in alone.named_parameters():
            assert torch.allclose(torch.from_numpy(gradients[key]), value.grad, rtol=1e-3, atol=1e-6), key
