"""The frame around a guarded function: as much as its breaker's options ask for, and no more."""

from seawall.circuitbreaker.options import BreakerOptions


def template(options: BreakerOptions) -> str:
    """The text of the guard, for ``compiled``; a breaker that looks at no time reads no clock."""
    slow = options.slow_call_duration is not None
    timed = options.sliding_window_seconds is not None
    spent = "monotonic() - started" if slow else "0.0"
    lines = [
        "async def guarded($params):",
        "    window = machine.window",
        "    if window is None:",
        # As acquire_permission does; a frame less makes a refusal a third cheaper.
        "        wait = machine.open_until - monotonic()",
        "        if wait > 0:",
        "            raise CircuitOpenError(name, wait if wait < inf else None)",
        "        return await tried(operation, $packed)",
    ]
    if slow:
        lines.append("    started = monotonic()")
    lines += [
        "    try:",
        "        result = await operation($passed)",
        "    except Exception as error:",
        f"        on_error(window, error, {spent})",
        "        raise",
    ]
    if options.failed_result is not None:
        lines += [
            "    if failed_result(result):",
            f"        on_failed_result(window, {spent})",
            "        return result",
        ]
    if slow or timed:
        lines.append("    now = monotonic()")
    if slow:
        lines += [
            "    if now - started >= slow_call_duration:",
            "        on_success(window, now - started)",
            "        return result",
        ]
    if timed:
        lines += ["    if now >= window.bucket_end:", "        window.roll(now)"]
    return "\n".join([*lines, "    window.successes += 1", "    return result"])
