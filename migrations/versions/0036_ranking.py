"""Due process: versions of policies, exemptions, every number of a score, and the cases of those in the tail.

Rankings of before lack the numbers that explain a score, and nothing was ever done on them: they go, and can be made
again.
"""

from pathlib import Path

from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n\n"):
        if statement.strip():
            op.execute(statement)
