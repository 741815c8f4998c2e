"""Codes of single vendors to recovery class: AWS, SQLite, MySQL, MongoDB, Redis, Google."""

from seawall.classification.error_type import ErrorType

_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)


def _inverted(table: dict[ErrorType, str]) -> dict[str, ErrorType]:
    return {code: error_type for error_type, codes in table.items() for code in codes.split()}


def _numbered(table: dict[ErrorType, tuple[int, ...]]) -> dict[int, ErrorType]:
    return {code: error_type for error_type, codes in table.items() for code in codes}


AWS_CODES = _inverted(
    {
        _TRANSIENT: (
            "Throttling ThrottlingException ThrottledException RequestThrottled SlowDown"
            " RequestThrottledException TooManyRequestsException RequestLimitExceeded"
            " BandwidthLimitExceeded LimitExceededException TransactionInProgressException"
            " ProvisionedThroughputExceededException PriorRequestNotComplete EC2ThrottledException"
            " RequestTimeout RequestTimeoutException InternalError InternalFailure"
            " InternalServerError"
            " InternalServerException ServiceUnavailable ServiceUnavailableException Unavailable"
            " OperationAborted TransactionConflictException BadDigest"
            " ReplicatedWriteConflictException"
            " ConcurrentModificationException IDPCommunicationError"
        ),
        _CONFIGURATION: (
            "AccessDenied AccessDeniedException UnauthorizedOperation AuthFailure"
            " UnauthorizedAccess"
            " UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId"
            " InvalidSignatureException"
            " SignatureDoesNotMatch MissingAuthenticationToken MissingAuthenticationTokenException"
            " IncompleteSignature ExpiredToken ExpiredTokenException InvalidToken RequestExpired"
            " RequestTimeTooSkewed OptInRequired NoSuchBucket"
            " ResourceNotFoundException NoSuchUpload"
            " AllAccessDisabled AccountProblem InvalidAction PermanentRedirect NotImplemented"
            " AuthorizationHeaderMalformed QueueDoesNotExist InvalidBucketName"
        ),
        _DATA: (
            "ValidationException ValidationError ConditionalCheckFailedException EntityTooLarge"
            " EntityTooSmall InvalidDigest InvalidObjectState NoSuchKey PreconditionFailed"
            " ItemCollectionSizeLimitExceededException InvalidParameterValue"
            " MalformedXML InvalidPart"
            " SerializationException DuplicateItemException KeyTooLongError InvalidRange"
        ),
        _SYSTEM: "InsufficientInstanceCapacity KMSInternalException",
    }
)

# SQLite's primary result codes; extended ones carry theirs in the low byte.
SQLITE_CODES = _numbered(
    {
        _TRANSIENT: (4, 5, 6, 9, 15, 17),  # abort, busy, locked, interrupt, protocol, schema
        _CONFIGURATION: (1, 3, 8, 14, 21, 23, 26),  # error, perm, readonly, cantopen, misuse, …
        _DATA: (18, 19, 20, 25),  # toobig, constraint, mismatch, range
        _SYSTEM: (2, 7, 10, 11, 13, 22),  # internal, nomem, ioerr, corrupt, full, nolfs
    }
)

MYSQL_CODES = _numbered(
    {
        _TRANSIENT: (
            *(1040, 1053, 1077, 1078, 1079, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205),
            *(1213, 1226, 1317, 1412, 1479, 1614, 1637, 2002, 2003, 2006, 2013, 2055, 3024, 3058),
            *(3572, 4031, 1047, 1290),
        ),
        _CONFIGURATION: (
            *(1044, 1045, 1046, 1049, 1050, 1051, 1054, 1061, 1064, 1091, 1103, 1109, 1115, 1130),
            *(1133, 1141, 1142, 1143, 1146, 1148, 1149, 1193, 1227, 1231, 1235, 1286, 1305, 1370),
            *(1396, 1524, 1698, 2005, 2026, 2049, 2054, 2059, 2061, 3118, 3159, 3948),
        ),
        _DATA: (
            *(1048, 1062, 1136, 1153, 1169, 1216, 1217, 1242, 1261, 1262, 1263, 1264, 1265, 1292),
            *(1364, 1365, 1366, 1367, 1406, 1411, 1416, 1425, 1451, 1452, 1526, 1557, 1586, 1644),
            *(1690, 1761, 1762, 3140, 3819, 4025),
        ),
        _SYSTEM: (
            *(3, 5, 14, 23, 126, 127, 1005, 1014, 1021, 1022, 1026, 1030, 1034, 1035, 1037, 1038),
            *(1041, 1114, 1135, 1194, 1195, 1206, 1297, 2008),
        ),
    }
)

MONGO_CODES = _numbered(
    {
        _TRANSIENT: (
            *(6, 7, 24, 43, 50, 63, 84, 89, 91, 107, 112, 133, 134, 150, 175, 189, 202, 234, 251),
            *(262, 317, 358, 384, 407, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436),
        ),
        _CONFIGURATION: (
            *(2, 8, 9, 11, 13, 18, 20, 26, 27, 31, 33, 48, 59, 61, 67, 68, 72, 73, 76, 85, 86, 93),
            *(115, 166, 168, 211, 224, 238, 263, 303, 323, 368, 8000, 40324),
        ),
        _DATA: (14, 16, 17, 22, 28, 40, 52, 54, 55, 56, 57, 66, 121, 10334, 11000, 11001, 12582),
        _SYSTEM: (1, 39, 96, 125, 128, 146, 225, 292, 14031, 16819),
    }
)

REDIS_CODES = _inverted(
    {
        _TRANSIENT: (
            "ASK BUSY CLUSTERDOWN LOADING MASTERDOWN MOVED NOREPLICAS NOSCRIPT NOTBUSY READONLY"
            " TRYAGAIN UNKILLABLE NOGOODSLAVE INPROG"
        ),
        _CONFIGURATION: "CROSSSLOT DENIED NOAUTH NOPERM NOPROTO NOGROUP WRONGPASS",
        _DATA: "BUSYGROUP BUSYKEY EXECABORT INVALIDOBJ WRONGTYPE",
        _SYSTEM: "MISCONF OOM",
    }
)

GOOGLE_REASONS = _inverted(
    {
        _TRANSIENT: (
            "backendError internalError jobBackendError jobInternalError jobRateLimitExceeded"
            " rateLimitExceeded userRateLimitExceeded tableUnavailable timeout stopped"
        ),
        _CONFIGURATION: "accessDenied authError billingNotEnabled blocked forbidden notFound",
        _DATA: "badRequest conditionNotMet duplicate invalid invalidQuery responseTooLarge",
        _SYSTEM: "quotaExceeded resourcesExceeded",
    }
)
