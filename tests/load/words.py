"""What the made-up tools do, and what is asked for."""

ACTIONS = ("open", "close", "list", "search", "export", "approve", "archive", "translate", "summarise", "compare")
THINGS = (
    "invoices",
    "tickets",
    "contracts",
    "holidays",
    "routes",
    "sensors",
    "recipes",
    "patents",
    "meetings",
    "shipments",
)
WAYS = ("by customer", "of last week", "in a city", "as a table", "that are late", "with their owners", "for a team")
