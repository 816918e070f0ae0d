"""The commands about models: `profile` measures one, `models` lists them."""

from typing import Annotated

import typer

from swatbench.cli.arguments import Device, Json, Precision, print_json, stage_teller


def profile(
    model: Annotated[str, typer.Option(help="A pair, as deit_ti, or an arm and a pair, as swat_deit_ti.")],
    batch: Annotated[int, typer.Option(min=1, max=65_536, help="Images in one call.")] = 8,
    device: Annotated[Device, typer.Option(help="Where to measure.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Autocast type.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; all cores if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count and measure one model: parameters, MACs, latency, throughput, memory."""
    from swatbench.spec.catalog import find_model

    find_model(model)  # a misspelt name is told before torch is loaded

    from swatbench import run as runs

    found = runs.profile(
        model,
        batch=batch,
        device=device,
        precision=precision,
        threads=threads,
        on_stage=stage_teller(quiet=as_json),
    )
    if as_json:
        print_json(found)
        return
    from swatbench.console import print_table
    from swatbench.report.profile import profile_rows

    print_table(profile_rows(found))


def models(
    model: Annotated[str | None, typer.Option(help="Tell what is in one model, as swat_swin_t.")] = None,
    as_json: Json = False,
) -> None:
    """List the pairs, their arms and the published numbers, or tell what is in one model."""
    from swatbench.console import print_table
    from swatbench.report import listing

    if as_json:
        print_json(listing.catalogue() if model is None else listing.describe(model))
    elif model is not None:
        print_table(listing.describe_rows(listing.describe(model)))
    else:
        print_table(listing.pair_rows(), listing.PAIR_COLUMNS)
        print_table(listing.arm_rows(), listing.ARM_COLUMNS)
        typer.echo(listing.LEGEND)
