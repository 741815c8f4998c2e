"""The database fixtures; a server is started only for tests that use them."""

import os
import shutil
import tempfile

import pytest

_KEPT = "PYTHONPYCACHEPREFIX"


def pytest_configure(config):
    """Let the many processes that tests start share compiled modules, where none are written.

    Compiling is a third of what importing the library costs.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None) and _KEPT not in os.environ:
        os.environ[_KEPT] = tempfile.mkdtemp(prefix="seawall-pycache-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(_KEPT), ignore_errors=True))


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
