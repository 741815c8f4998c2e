"""SQLSTATE to recovery class: exact codes first, then the class (the first two characters).

From PostgreSQL's appendix A, "PostgreSQL Error Codes"; drivers of other databases share the
standard classes.
"""

from seawall.classification.error_type import ErrorType

_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)

SQLSTATE_CLASSES = {
    "03": _CONFIGURATION,  # SQL statement not yet complete
    "08": _TRANSIENT,  # connection exception
    "09": _DATA,  # triggered action exception
    "0A": _CONFIGURATION,  # feature not supported
    "0B": _CONFIGURATION,  # invalid transaction initiation
    "0F": _CONFIGURATION,  # locator exception
    "0L": _CONFIGURATION,  # invalid grantor
    "0P": _CONFIGURATION,  # invalid role specification
    "20": _DATA,  # case not found
    "21": _DATA,  # cardinality violation
    "22": _DATA,  # data exception
    "23": _DATA,  # integrity constraint violation
    "24": _CONFIGURATION,  # invalid cursor state
    "26": _CONFIGURATION,  # invalid SQL statement name
    "27": _DATA,  # triggered data change violation
    "28": _CONFIGURATION,  # invalid authorization specification
    "2B": _CONFIGURATION,  # dependent privilege descriptors still exist
    "2D": _CONFIGURATION,  # invalid transaction termination
    "2F": _CONFIGURATION,  # SQL routine exception
    "34": _CONFIGURATION,  # invalid cursor name
    "38": _CONFIGURATION,  # external routine exception
    "39": _CONFIGURATION,  # external routine invocation exception
    "3B": _CONFIGURATION,  # savepoint exception
    "3D": _CONFIGURATION,  # invalid catalog name
    "3F": _CONFIGURATION,  # invalid schema name
    "40": _TRANSIENT,  # transaction rollback
    "42": _CONFIGURATION,  # syntax error or access rule violation
    "44": _DATA,  # WITH CHECK OPTION violation
    "53": _SYSTEM,  # insufficient resources
    "54": _SYSTEM,  # program limit exceeded
    "55": _CONFIGURATION,  # object not in prerequisite state
    "57": _TRANSIENT,  # operator intervention
    "58": _SYSTEM,  # system error
    "72": _TRANSIENT,  # snapshot failure
    "F0": _CONFIGURATION,  # configuration file error
    "HV": _CONFIGURATION,  # foreign data wrapper error
    "P0": _DATA,  # PL/pgSQL error: a function of the user's refused
    "XX": _SYSTEM,  # internal error, corruption
}

SQLSTATES = {
    "08004": _CONFIGURATION,  # the server rejected the connection
    "08P01": _SYSTEM,  # protocol violation
    "22023": _CONFIGURATION,  # invalid parameter value, mostly of a setting
    "25001": _CONFIGURATION,  # active SQL transaction
    "25006": _CONFIGURATION,  # read-only transaction: connected to a standby
    "25P01": _CONFIGURATION,  # no active transaction
    "25P03": _TRANSIENT,  # idle-in-transaction timeout
    "25P04": _TRANSIENT,  # transaction timeout
    "40002": _DATA,  # integrity constraint violation at the end of a transaction
    "42804": _DATA,  # datatype mismatch
    "42846": _DATA,  # cannot coerce
    "53300": _TRANSIENT,  # too many connections
    "54011": _CONFIGURATION,  # too many columns
    "54023": _CONFIGURATION,  # too many arguments
    "55006": _TRANSIENT,  # object in use
    "55P03": _TRANSIENT,  # lock not available
    "57P04": _CONFIGURATION,  # database dropped
    "58P01": _CONFIGURATION,  # undefined file
    "58P02": _CONFIGURATION,  # duplicate file
    "HV001": _SYSTEM,  # out of memory in a foreign data wrapper
    "HV00L": _TRANSIENT,  # unable to create execution
    "HV00N": _TRANSIENT,  # unable to establish connection
    "P0004": ErrorType.UNKNOWN,  # ASSERT in a function: a bug
}


def by_sqlstate(code: str) -> ErrorType | None:
    """The class of a SQLSTATE, or None where the code alone tells nothing."""
    return SQLSTATES.get(code) or SQLSTATE_CLASSES.get(code[:2])
