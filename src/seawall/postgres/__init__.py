"""The PostgreSQL side: connections, migrations, loading, and a store for each feature."""
