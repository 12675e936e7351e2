"""What operators are promised of migrations (docs/operating.md, "Upgrade")."""

import re

from toolbox.database import migrations_folder

TAKING_AWAY = re.compile(
    r"op\.(drop_(column|table)|rename_\w+|alter_column)|\b(drop|rename) (column|table)\b", re.IGNORECASE
)
"""An index, a trigger or a function may go: no version before asks for one by its name."""


def test_a_migration_takes_away_nothing_that_the_version_before_needs() -> None:
    found = {}
    for path in sorted((migrations_folder() / "versions").glob("[0-9]*.py")):
        upgrade = path.read_text().partition("def upgrade")[2].partition("def downgrade")[0]
        if taken := TAKING_AWAY.search(upgrade):
            found[path.name] = taken[0]
    assert found == {}
