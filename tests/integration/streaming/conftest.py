from support.numbers_table import connection, ledger, make_manager, numbers_fixture

__all__ = ["connection", "ledger", "make_manager", "numbers_fixture"]
