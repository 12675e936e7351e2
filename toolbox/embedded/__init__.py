"""PostgreSQL run by ToolBox itself when no DATABASE_URL is given; `owner` is the way in."""
