"""errno and resolver codes to recovery class, by symbol: platforms number them differently."""

import errno
import socket

from seawall.classification.error_type import ErrorType

_SYMBOLS = {
    ErrorType.TRANSIENT: (
        "EAGAIN EWOULDBLOCK EINTR EBUSY ETXTBSY EDEADLK EPIPE ENETDOWN ENETUNREACH ENETRESET"
        " ECONNABORTED ECONNRESET ENOTCONN ESHUTDOWN ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH"
        " EALREADY EINPROGRESS ESTALE ETIME ECOMM EPROTO ECANCELED ENOLINK"
    ),
    ErrorType.CONFIGURATION: (
        "EPERM ENOENT ENXIO ENOEXEC EBADF EACCES ENOTBLK EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL"
        " ENOTTY EROFS ENOSYS ENOTEMPTY ELOOP ENOTSOCK EDESTADDRREQ EPROTOTYPE ENOPROTOOPT"
        " EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP ENOTSUP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE"
        " EADDRNOTAVAIL EKEYREJECTED EKEYEXPIRED ENOKEY ELIBACC"
    ),
    ErrorType.DATA: "EDOM ERANGE EILSEQ EOVERFLOW EBADMSG ENAMETOOLONG EMSGSIZE",
    ErrorType.SYSTEM: (
        "EIO E2BIG ENOMEM ENFILE EMFILE EFBIG ENOSPC EMLINK ENOLCK ENOBUFS EUSERS EDQUOT EREMOTEIO"
        " ENOMEDIUM EUCLEAN EHWPOISON EFAULT ECHILD"
    ),
}

_RESOLVER_SYMBOLS = {
    ErrorType.TRANSIENT: "EAI_AGAIN",
    ErrorType.CONFIGURATION: (
        "EAI_NONAME EAI_NODATA EAI_FAIL EAI_FAMILY EAI_SERVICE EAI_SOCKTYPE EAI_BADFLAGS"
        " EAI_ADDRFAMILY"
    ),
    ErrorType.SYSTEM: "EAI_MEMORY",
}


def _numbers(module: object, symbols: dict[ErrorType, str]) -> dict[int, ErrorType]:
    return {
        int(number): error_type
        for error_type, names in symbols.items()
        for name in names.split()
        if (number := getattr(module, name, None)) is not None
    }


ERRNOS = _numbers(errno, _SYMBOLS)
RESOLVER_CODES = _numbers(socket, _RESOLVER_SYMBOLS)


def by_errno(number: int) -> ErrorType | None:
    """The class of an errno (positive) or a getaddrinfo code (negative on Linux)."""
    return ERRNOS.get(number) if number > 0 else RESOLVER_CODES.get(number)
