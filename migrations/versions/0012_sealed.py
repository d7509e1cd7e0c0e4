"""Where customers want their goods is sealed, whom money goes to is known, and of Stripe's events no person is kept.

Stop `serve` and `worker` before it: until its end they would show what is sealed as it is. Cut off, it can be run
again, with the same S2B2C_DATA_KEYS: what is committed stays.
"""

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import text

from s2b2c import crypto

revision = "0012"
down_revision = "0011"

KEYS = {"addresses": ("id",), "order_addresses": ("branch_id", "order_id")}
PERSONAL = ("recipient", "phone", "region", "street")
FORM = r"^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$"
BATCH = 2_000


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # Nothing in here needs a transaction, and all of it can be run again.
    with op.get_context().autocommit_block():
        for table in KEYS:
            seal(table)
            op.execute("SET lock_timeout = '3s'")
            refuse_what_is_not_sealed(table, PERSONAL)
            op.execute("RESET lock_timeout")
            seal(table)  # what was written meanwhile
        refuse_what_is_not_sealed("identities", ("sealed",))
        for table in KEYS:
            for column in PERSONAL:
                op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{column}")
        op.execute("ALTER TABLE identities VALIDATE CONSTRAINT ck_identities_sealed")
        keep_no_person()
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)


def refuse_what_is_not_sealed(table: str, columns: tuple[str, ...]) -> None:
    changes = [
        f"DROP CONSTRAINT IF EXISTS ck_{table}_{column}, "
        f"ADD CONSTRAINT ck_{table}_{column} CHECK ({column} ~ '{FORM}') NOT VALID"
        for column in columns
    ]
    op.execute(f"ALTER TABLE {table} {', '.join(changes)}")


def seal(table: str) -> None:
    """Batch by batch, each committed; a row that somebody changes meanwhile is left as it is now."""
    keys, columns = ", ".join(KEYS[table]), ", ".join(PERSONAL)
    places = ", ".join(f":after_{key}" for key in KEYS[table])
    plain = " OR ".join(f"{column} !~ '{FORM}'" for column in PERSONAL)
    find = text(
        f"SELECT {keys}, {columns} FROM {table} "  # noqa: S608  names of ours
        f"WHERE ({keys}) > ({places}) AND ({plain}) ORDER BY {keys} LIMIT {BATCH}"
    )
    arrays = [f"CAST(:{key} AS bigint[])" for key in KEYS[table]]
    arrays += [f"CAST(:{side}_{column} AS text[])" for side in ("old", "new") for column in PERSONAL]
    names = [*KEYS[table], *(f"{side}_{column}" for side in ("old", "new") for column in PERSONAL)]
    matches = [f"t.{key} = b.{key}" for key in KEYS[table]] + [f"t.{column} = b.old_{column}" for column in PERSONAL]
    change = text(
        f"UPDATE {table} t SET {', '.join(f'{column} = b.new_{column}' for column in PERSONAL)} "  # noqa: S608  as above
        f"FROM unnest({', '.join(arrays)}) AS b ({', '.join(names)}) WHERE {' AND '.join(matches)}"
    )
    connection = op.get_bind()
    after: dict[str, Any] = dict.fromkeys((f"after_{key}" for key in KEYS[table]), 0)
    while rows := connection.execute(find, after).mappings().all():
        batch: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in KEYS[table]}
        for column in PERSONAL:
            batch[f"old_{column}"] = [row[column] for row in rows]
            batch[f"new_{column}"] = [sealed(row[column], column) for row in rows]
        connection.execute(change, batch)
        after = {f"after_{key}": rows[-1][key] for key in KEYS[table]}


def sealed(value: str, kind: str) -> str:
    """A value as it is where it opens already."""
    keys = crypto.keys()
    try:
        keys.open(value, kind)
    except crypto.SealError:
        return keys.seal(value, kind)
    return value


def keep_no_person() -> None:
    """What we go by of the payloads of Stripe's events, which is all that is stored from now on."""
    connection, after = op.get_bind(), ""
    while (last := connection.scalar(text(REDUCE), {"after": after, "batch": BATCH})) is not None:
        after = last


REDUCE = """
    WITH batch AS (
        SELECT id, payload #> '{data,object}' AS it, payload #> '{data,previous_attributes}' AS previous
        FROM stripe_events WHERE id COLLATE "C" > :after ORDER BY id COLLATE "C" LIMIT :batch
    ), reduced AS (
        UPDATE stripe_events e SET payload = jsonb_build_object('data',
            jsonb_build_object('object', jsonb_strip_nulls(jsonb_build_object(
                'id', it -> 'id', 'payment_intent', it -> 'payment_intent', 'currency', it -> 'currency',
                'amount', it -> 'amount', 'amount_received', it -> 'amount_received', 'status', it -> 'status',
                'payouts_enabled', it -> 'payouts_enabled', 'details_submitted', it -> 'details_submitted',
                'metadata', jsonb_build_object(
                    'branch_id', it #> '{metadata,branch_id}', 'order_id', it #> '{metadata,order_id}',
                    'payment_id', it #> '{metadata,payment_id}', 'refund_id', it #> '{metadata,refund_id}',
                    'return', it #> '{metadata,return}'),
                'capabilities', jsonb_build_object('transfers', it #> '{capabilities,transfers}'))))
            || CASE WHEN jsonb_typeof(previous) <> 'object' OR previous IS NULL THEN '{}'
                    WHEN previous ? 'status'
                    THEN jsonb_build_object('previous_attributes', jsonb_build_object('status', previous -> 'status'))
                    ELSE '{"previous_attributes": {}}' END)
        FROM batch WHERE e.id = batch.id
    )
    SELECT max(id COLLATE "C") FROM batch
"""
