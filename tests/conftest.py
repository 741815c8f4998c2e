"""The database fixtures; a server is started only for tests that use them."""

import pytest


@pytest.fixture(scope="session")
def test_server():
    from support.database import TestServer

    server = TestServer()
    yield server
    server.close()


@pytest.fixture
def database_dsn(test_server):
    """A database of the test's own, with seawall's schema."""
    dsn = test_server.create()
    yield dsn
    test_server.drop(dsn)


@pytest.fixture
def empty_database_dsn(test_server):
    """A database of the test's own, with nothing in it."""
    dsn = test_server.create(empty=True)
    yield dsn
    test_server.drop(dsn)
