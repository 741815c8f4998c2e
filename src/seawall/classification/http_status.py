"""HTTP status and gRPC status to recovery class."""

from seawall.classification.error_type import ErrorType

_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)

HTTP_STATUSES = {
    400: _DATA,
    408: _TRANSIENT,
    409: _DATA,
    411: _DATA,
    412: _DATA,
    413: _DATA,
    414: _DATA,
    416: _DATA,
    421: _TRANSIENT,  # misdirected: another connection may reach the right host
    422: _DATA,
    423: _TRANSIENT,
    424: _DATA,
    425: _TRANSIENT,
    428: _DATA,
    429: _TRANSIENT,
    440: _CONFIGURATION,
    449: _TRANSIENT,
    499: _TRANSIENT,  # the proxy saw the client leave
    501: _CONFIGURATION,
    505: _CONFIGURATION,
    506: _CONFIGURATION,
    507: _SYSTEM,
    508: _CONFIGURATION,
    510: _CONFIGURATION,
    511: _CONFIGURATION,
    525: _CONFIGURATION,  # TLS between proxy and origin
    526: _CONFIGURATION,
}


def by_http_status(status: int) -> ErrorType | None:
    """The class of an HTTP status; None below 400 and above 599."""
    if status < 400 or status > 599:
        return None
    return HTTP_STATUSES.get(status) or (_CONFIGURATION if status < 500 else _TRANSIENT)


GRPC_STATUSES = {
    "ABORTED": _TRANSIENT,
    "ALREADY_EXISTS": _DATA,
    "CANCELLED": _TRANSIENT,
    "DATA_LOSS": _SYSTEM,
    "DEADLINE_EXCEEDED": _TRANSIENT,
    "FAILED_PRECONDITION": _CONFIGURATION,
    "INTERNAL": _TRANSIENT,
    "INVALID_ARGUMENT": _DATA,
    "NOT_FOUND": _CONFIGURATION,
    "OUT_OF_RANGE": _DATA,
    "PERMISSION_DENIED": _CONFIGURATION,
    "RESOURCE_EXHAUSTED": _TRANSIENT,
    "UNAUTHENTICATED": _CONFIGURATION,
    "UNAVAILABLE": _TRANSIENT,
    "UNIMPLEMENTED": _CONFIGURATION,
}
