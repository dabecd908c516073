"""The subcommands of ``weedout``: their options, what they do, and what they show meanwhile."""
