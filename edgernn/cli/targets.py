"""`edgernn targets`: the cores and boards that models are compiled for."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the cores and boards that `compile`, `verify`, `profile` and `run` take."""
    from rich.console import Console
    from rich.table import Table

    from targets.boards import boards, boards_with
    from targets.cores import cores

    console = Console(highlight=False, markup=False)
    table = Table("core", "what", "kernels", "runs here in", title="Cores", title_justify="left")
    for core in cores().values():
        kernels = "Helium" if core.mve else "DSP" if core.dsp else "C"
        where = "unicorn" if core.emulator else ""
        if boards_with(core.name):
            where = f"{where}, QEMU".lstrip(", ")
        if core.name == "host":
            where = "this process"
        table.add_row(core.name, core.title, kernels, where)
    console.print(table)
    table = Table(title="Boards", title_justify="left")
    table.add_column("board", no_wrap=True)
    table.add_column("core")
    for column in ("MHz", "flash, kB", "RAM, kB"):
        table.add_column(column, justify="right")
    table.add_column("flashed by")
    table.add_column("QEMU")
    for board in boards().values():
        table.add_row(
            board.name,
            board.core,
            f"{board.clock_hz / 1e6:g}",
            f"{board.flash_bytes // 1024:,}",
            f"{board.ram_bytes // 1024:,}",
            board.flash,
            "yes" if board.qemu else "",
        )
    console.print(table)
