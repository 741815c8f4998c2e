"""Who a process is, where the system tells little."""

import os

from seawall import process


def test_identity_in_a_sandbox_without_namespaces_is_its_own_alone(monkeypatch, tmp_path):
    """It must not stop a worker from opening its step; and no other is taken for dead by it."""
    pid = str(os.getpid())
    if process._BOOT_ID.exists():
        (tmp_path / pid).symlink_to(process._PROC / pid)  # all of /proc that there is
    monkeypatch.setattr(process, "_PROC", tmp_path)
    process.machine.cache_clear()
    try:
        mine = process.identity()
        assert process.identity() == mine
        assert not process.is_dead(mine)
        process.machine.cache_clear()
        assert process.identity() != mine
        assert not process.is_dead(mine)
    finally:
        process.machine.cache_clear()
