"""The commands for the network of distributors: `s2b2c network --help`."""

import csv
import io
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2b2c import offboarding
from s2b2c.atomic import replacing
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.exports import not_a_formula
from s2b2c.money import format_yuan
from s2b2c.offboarding import Document

out = Console()
app = typer.Typer(no_args_is_help=True, help="What became of distributors (分销网络).")


@app.callback()
def network() -> None:
    """So that `elimination` has a name of its own, being the only one."""


@app.command()
def elimination(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code of the distributor; its last elimination is shown.")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write it as CSV (UTF-8 with BOM) instead.")] = None,
) -> None:
    """The document of what happened (清退记录): who, when, why, by whom, and where all that it had went."""

    async def work(db: Database) -> Document:
        async with db.snapshot() as session:
            return await offboarding.document(session, await offboarding.newest_of(session, code), datetime.now(UTC))

    run: Callable[[Callable[[Database], Awaitable[Document]]], Document] = context.obj
    rows = list(told(run(work)))
    if csv_file is None:
        for label, *cells in rows:
            out.print(f"{label}: {', '.join(cells)}", markup=False, highlight=False, soft_wrap=True)
        return
    with replacing(csv_file) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        csv.writer(text).writerows([not_a_formula(cell) for cell in row] for row in rows)
        text.flush()
        text.detach()
    out.print(f"{csv_file} has {len(rows)} rows.", markup=False, highlight=False, soft_wrap=True)


def told(said: Document) -> Iterator[list[str]]:
    """The rows of the document: a label in Chinese and English, then what is said; amounts in yuan."""
    record, it = said.record, said.record.elimination
    yield ["清退记录 Elimination", str(it.id)]
    yield ["分销商 Distributor", record.distributor.code, record.distributor.name]
    yield ["时间 When", _moment(it.at)]
    yield ["原因 Why", it.reason]
    yield ["决定人 Decided by", _who(record.by.role, record.by.id, it.person_id)]
    yield ["此前状态 State before", it.state_before]
    home = ["平台 the platform"] if record.home is None else [record.home.code, record.home.name]
    yield ["新归属 New home", *home]
    yield ["全部下级 Everybody below", str(it.members)]
    yield ["顾客 Customers", str(it.customers)]
    yield ["结束的登录 Sessions ended", str(it.sessions)]
    for label, amount in (
        ("当时未到期佣金 Commissions pending then", it.pending),
        ("当时已到期未结佣金 Commissions matured then", it.matured),
        ("当时欠款 Debt then", it.debt),
        ("现未到期佣金 Commissions pending now", said.open.pending),
        ("现已到期未结佣金 Commissions matured now", said.open.available),
    ):
        yield [label, format_yuan(amount)]
    for store in said.stores:
        leads = "营业中 open" if store.is_open else f"链接指向 leads to {store.moved_to or '无 nowhere'}"
        yield ["关闭的店铺 Store closed", store.slug, store.title, leads]
    for row in said.downlines:
        above = "根 root" if row.parent is None else f"现上级 now below {row.parent.code}"
        yield ["下级 Downline", row.code, row.name, above, *(["已归还 moved back"] if row.is_back else [])]
    for statement in said.statements:
        final = ["不受起付额限制 final"] if statement.is_final else []
        paid = f"支付 paid out {format_yuan(statement.payout)}"
        yield ["结算单 Statement", str(statement.id), _moment(statement.cutoff), statement.state, paid, *final]
    if it.reinstated_at is not None:
        assert record.undone_by is not None, "a constraint says so"
        yield ["恢复时间 Reinstated", _moment(it.reinstated_at)]
        yield ["恢复原因 Why reinstated", it.reinstate_reason or ""]
        yield ["恢复人 Reinstated by", _who(record.undone_by.role, record.undone_by.id, it.reinstated_person_id)]
        yield ["归还顾客 Customers back", str(said.customers_back)]


def _moment(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def _who(role: str, account_id: int, person_id: int | None) -> str:
    return f"{role} (account {account_id}{'' if person_id is None else f', person {person_id}'})"
