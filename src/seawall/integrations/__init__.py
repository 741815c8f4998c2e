"""Other people's libraries, a module each, imported by who uses them; see docs/integrations.md."""
