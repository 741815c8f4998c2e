"""``seawall demo``: real flights into PostgreSQL, exactly once, through faults and kills.

The parent (``supervisor``) starts the reference API (``api``) and the worker process (``worker``),
shows its progress, kills and restarts it if asked, and checks the counts by SQL (``tables``).
"""
