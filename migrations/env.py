"""Alembic's entry: runs the migrations on the connection, locked, that `toolbox.database.migrate` hands in."""

from advanced_alchemy.base import DefaultBase
from alembic import context

import toolbox.admin.models
import toolbox.auth.models
import toolbox.calls.models
import toolbox.index.models
import toolbox.learning.models
import toolbox.mcp.models
import toolbox.secrets.models
import toolbox.tasks.models
import toolbox.tools.models
import toolbox.toolsets.models
import toolbox.upstreams.models  # noqa: F401 - each import registers its tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=DefaultBase.metadata)
with context.begin_transaction():
    context.run_migrations()
