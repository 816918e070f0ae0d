"""The command about the catalogue: `models` lists it, or tells what is in one model."""

from typing import Annotated

import typer

from swatbench.cli.arguments import Json, print_json, say


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
        say(listing.LEGEND)
