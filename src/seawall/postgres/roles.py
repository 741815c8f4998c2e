"""The three roles of a schema, least privilege, as SQL for its owner: ``sql/roles.sql``."""

from seawall.postgres.migrate import sql_folder
from seawall.postgres.names import quote


def render_roles(schema: str = "seawall", *, writer: str, reader: str) -> str:
    """The grants for two roles that exist; to be run by the schema's owner after each migration.

    Args:
        schema: where seawall's tables are.
        writer: the workers' role.
        reader: the role of people and dashboards.
    """
    text = (sql_folder() / "roles.sql").read_text("utf-8")
    for name, value in (("schema", schema), ("writer", writer), ("reader", reader)):
        text = text.replace(f"{{{name}}}", quote(value))
    return text
