"""What search knows of the catalogue as a whole: its spellings, how many tools there are, and what a score is worth."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

CALIBRATION = ("cosine_mean", "cosine_deviation", "text_mean", "text_deviation")


def upgrade() -> None:
    op.create_table(
        "words",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("word", sa.Text, nullable=False, unique=True),
        sa.Column("lexeme_id", sa.Integer, nullable=False),
    )
    op.add_column("models", sa.Column("calibrated_tools", sa.Integer))
    for name in CALIBRATION:
        op.add_column("models", sa.Column(name, sa.Double))
    # The empty stem stands in every tool, so that it counts them.
    op.execute("insert into lexemes (lexeme, tools) select '', count(*) from tools")
    op.execute(
        "insert into postings (tool_id, lexeme_id, impact) "
        "select t.id, l.id, 0 from tools t, lexemes l where l.lexeme = ''"
    )


def downgrade() -> None:
    op.execute("delete from postings p using lexemes l where l.id = p.lexeme_id and l.lexeme = ''")
    op.execute("delete from lexemes where lexeme = ''")
    for name in ("calibrated_tools", *CALIBRATION):
        op.drop_column("models", name)
    op.drop_table("words")
