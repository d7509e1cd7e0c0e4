"""The commands that write files for finance: `s2b2c export --help`. Each document goes by a run, or by days."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from s2b2c import cli_finance as finance
from s2b2c import exports, main_job, output
from s2b2c.db import Database

app = typer.Typer(no_args_is_help=True, help="Write files for finance and brands.")

Run = Annotated[int, typer.Argument(help="The settlement run.")]
MaybeRun = Annotated[int | None, typer.Argument(help="The settlement run; or give --from and --until.")]
From = Annotated[
    datetime | None, typer.Option("--from", formats=finance.DAY, help="The first day: of payment, or of posting.")
]
Until = Annotated[
    datetime | None, typer.Option("--until", formats=finance.DAY, help="The first day that is not in it.")
]
File = Annotated[Path, typer.Option("--out", help="Where to; its SHA-256 goes beside it.")]
Form = Annotated[exports.Format, typer.Option("--format")]
Language = Annotated[exports.Language, typer.Option()]
Encoding = Annotated[exports.Encoding, typer.Option()]
Payees = Annotated[bool, typer.Option(help="With names, numbers and accounts, in full; it goes on record.")]


def _day(at: datetime | None) -> date | None:
    return None if at is None else at.date()


def _write(context: typer.Context, wanted: exports.Wanted, file: Path) -> None:
    exports.check(wanted)

    async def work(db: Database) -> None:
        with main_job.progress_bar(finance.err) as progress:
            await main_job.export(db, wanted, file, finance.out, progress)

    finance.run(context, work)


@app.command("statement-detail")
def statement_detail(
    context: typer.Context,
    file: File,
    run: MaybeRun = None,
    start: From = None,
    end: Until = None,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Payees = False,  # noqa: FBT002  as the library has it
) -> None:
    """Every statement, line by line, with control totals."""
    _write(
        context,
        exports.Wanted("statement_detail", run, _day(start), _day(end), form, language, encoding, payees),
        file,
    )


@app.command("statement-summary")
def statement_summary(
    context: typer.Context,
    file: File,
    run: MaybeRun = None,
    start: From = None,
    end: Until = None,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Payees = False,  # noqa: FBT002
) -> None:
    """A row for each statement, from its gross to what is paid out and what is left."""
    _write(
        context,
        exports.Wanted("statement_summary", run, _day(start), _day(end), form, language, encoding, payees),
        file,
    )


@app.command("bank-batch")
def bank_batch(
    context: typer.Context,
    run: Run,
    file: File,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Payees = False,  # noqa: FBT002
) -> None:
    """What an approved run pays to bank accounts."""
    _write(context, exports.Wanted("bank_batch", run, None, None, form, language, encoding, payees), file)


@app.command("brand-payable")
def brand_payable(
    context: typer.Context,
    file: File,
    run: MaybeRun = None,
    start: From = None,
    end: Until = None,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Payees = False,  # noqa: FBT002
) -> None:
    """What brands are owed for their supply."""
    _write(
        context,
        exports.Wanted("brand_payable", run, _day(start), _day(end), form, language, encoding, payees),
        file,
    )


@app.command("withholding-report")
def withholding_report(
    context: typer.Context,
    start: From,
    end: Until,
    file: File,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
    payees: Payees = False,  # noqa: FBT002
) -> None:
    """Who earned what in a quarter, and the tax that was withheld."""
    _write(
        context,
        exports.Wanted("withholding_report", None, _day(start), _day(end), form, language, encoding, payees),
        file,
    )


@app.command("ledger-journal")
def ledger_journal(
    context: typer.Context,
    start: From,
    end: Until,
    file: File,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
) -> None:
    """Every transfer of a period, with its accounts by name."""
    _write(context, exports.Wanted("ledger_journal", None, _day(start), _day(end), form, language, encoding), file)


@app.command("sales")
def sales(
    context: typer.Context,
    report: Annotated[exports.SalesReport, typer.Argument(help="Which report.")],
    start: From,
    end: Until,
    file: File,
    brand: Annotated[str | None, typer.Option(help="The name of a brand; all of them.")] = None,
    product: Annotated[str | None, typer.Option(help="The code of a product of the brand.")] = None,
    store: Annotated[str | None, typer.Option(help="The slug of a store.")] = None,
    region: Annotated[str | None, typer.Option(help="Of the stores.")] = None,
    tier: Annotated[str | None, typer.Option(help="The code of the owners' tier.")] = None,
    form: Form = "csv",
    language: Language = "zh",
    encoding: Encoding = "utf-8",
) -> None:
    """What stores sold (产值), from the top down, or what they listed in vain."""
    assert start is not None
    assert end is not None
    days = output.Scope(start.date(), end.date(), region=region)
    exports.check_sales(exports.SalesWanted(report, days, form, language, encoding))

    async def work(db: Database) -> None:
        async with db.snapshot() as session:
            scope = await exports.named_scope(session, days, brand=brand, product=product, store=store, tier=tier)
            wanted = exports.SalesWanted(report, scope, form, language, encoding)
            file.parent.mkdir(parents=True, exist_ok=True)
            written = await exports.write_sales(session, wanted, out=file)
        finance.say(f"{file} ({written.rows:,} rows, sha256 {written.sha256})")

    finance.run(context, work)
