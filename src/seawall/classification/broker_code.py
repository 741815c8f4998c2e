"""Codes of message brokers and of mail and file transfer to recovery class."""

from seawall.classification.error_type import ErrorType

_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)

# Kafka's protocol and, with an underscore before them, librdkafka's own.
KAFKA_CODES = {
    name: error_type
    for error_type, names in {
        _TRANSIENT: (
            "LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION NOT_LEADER_OR_FOLLOWER REQUEST_TIMED_OUT"
            " NETWORK_EXCEPTION COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE"
            " NOT_COORDINATOR BROKER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE NOT_ENOUGH_REPLICAS"
            " NOT_ENOUGH_REPLICAS_AFTER_APPEND REBALANCE_IN_PROGRESS ILLEGAL_GENERATION"
            " UNKNOWN_MEMBER_ID THROTTLING_QUOTA_EXCEEDED CONCURRENT_TRANSACTIONS NOT_CONTROLLER"
            " UNKNOWN_TOPIC_OR_PART FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH STALE_BROKER_EPOCH"
            " _TRANSPORT _ALL_BROKERS_DOWN _TIMED_OUT _MSG_TIMED_OUT _QUEUE_FULL _WAIT_COORD"
            " _TIMED_OUT_QUEUE _RETRY _IN_PROGRESS _PREV_IN_PROGRESS _ISR_INSUFF _NODE_UPDATE"
            " _WAIT_CACHE _INTR _MAX_POLL_EXCEEDED _NO_OFFSET _ASSIGNMENT_LOST"
        ),
        _CONFIGURATION: (
            "TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED"
            " TRANSACTIONAL_ID_AUTHORIZATION_FAILED SASL_AUTHENTICATION_FAILED INVALID_CONFIG"
            " UNSUPPORTED_SASL_MECHANISM UNSUPPORTED_VERSION UNSUPPORTED_FOR_MESSAGE_FORMAT"
            " SECURITY_DISABLED INVALID_REPLICATION_FACTOR INVALID_PARTITIONS TOPIC_EXCEPTION"
            " INVALID_REQUIRED_ACKS POLICY_VIOLATION TOPIC_ALREADY_EXISTS INVALID_PRODUCER_EPOCH"
            " PRODUCER_FENCED INVALID_GROUP_ID INCONSISTENT_GROUP_PROTOCOL INVALID_SESSION_TIMEOUT"
            " _AUTHENTICATION _SSL _UNKNOWN_TOPIC _UNKNOWN_PARTITION _UNKNOWN_GROUP _INVALID_ARG"
            " _NOT_IMPLEMENTED _UNSUPPORTED_FEATURE _RESOLVE _UNKNOWN_PROTOCOL _FENCED"
        ),
        _DATA: (
            "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD INVALID_TIMESTAMP INVALID_MSG"
            " OFFSET_OUT_OF_RANGE INVALID_MSG_SIZE _BAD_MSG _BAD_COMPRESSION _KEY_SERIALIZATION"
            " _VALUE_SERIALIZATION _KEY_DESERIALIZATION _VALUE_DESERIALIZATION _AUTO_OFFSET_RESET"
        ),
        _SYSTEM: "KAFKA_STORAGE_ERROR _FS _CRIT_SYS_RESOURCE",
    }.items()
    for name in names.split()
}

# The reply codes of AMQP 0-9-1.
AMQP_CODES = {
    311: _DATA,  # content too large
    312: _CONFIGURATION,  # no route
    313: _TRANSIENT,  # no consumers
    320: _TRANSIENT,  # connection forced: an operator, or a shutdown
    402: _CONFIGURATION,
    403: _CONFIGURATION,
    404: _CONFIGURATION,
    405: _TRANSIENT,  # resource locked by another connection
    406: _CONFIGURATION,  # precondition failed: declared otherwise
    501: _TRANSIENT,  # frame error
    502: _CONFIGURATION,
    503: _CONFIGURATION,
    504: _TRANSIENT,  # channel error
    505: _TRANSIENT,  # unexpected frame
    506: _SYSTEM,  # resource error
    530: _CONFIGURATION,
    540: _CONFIGURATION,
    541: _TRANSIENT,  # internal error
}

# SSH's reasons to disconnect, and SFTP's status codes.
SSH_CODES = {
    1: _CONFIGURATION,  # host not allowed to connect
    2: _TRANSIENT,  # protocol error
    3: _CONFIGURATION,  # key exchange failed
    7: _CONFIGURATION,  # service not available: it isn't offered
    8: _CONFIGURATION,
    9: _CONFIGURATION,  # host key not verifiable
    10: _TRANSIENT,  # connection lost
    11: _TRANSIENT,  # by application
    12: _TRANSIENT,  # too many connections
    14: _CONFIGURATION,  # no more authentication methods
    15: _CONFIGURATION,
}
SFTP_CODES = {
    2: _CONFIGURATION,  # no such file
    3: _CONFIGURATION,  # permission denied
    5: _DATA,  # bad message
    6: _TRANSIENT,  # no connection
    7: _TRANSIENT,  # connection lost
    8: _CONFIGURATION,  # unsupported
    10: _CONFIGURATION,  # no such path
    11: _CONFIGURATION,  # already exists
    12: _CONFIGURATION,  # write protected
    13: _SYSTEM,  # no media
    14: _SYSTEM,  # no space
    15: _SYSTEM,  # quota exceeded
    17: _TRANSIENT,  # lock conflict
    20: _DATA,  # invalid filename
}

# c-ares (aiodns, pycares).
RESOLVER_NUMBERS = {
    1: _CONFIGURATION,  # no data
    2: _DATA,
    3: _TRANSIENT,  # the server failed
    4: _CONFIGURATION,  # name not found
    6: _TRANSIENT,  # refused
    8: _CONFIGURATION,  # bad name
    10: _TRANSIENT,
    11: _TRANSIENT,  # connection refused
    12: _TRANSIENT,  # timeout
    15: _SYSTEM,
}


def by_ftp_reply(number: int) -> ErrorType | None:
    """The class of an FTP reply: 4yz may pass, 5yz won't; 452 and 552 are a full disk."""
    if number in {452, 552}:
        return _SYSTEM
    if 400 <= number < 500:
        return _CONFIGURATION if number == 430 else _TRANSIENT
    return _CONFIGURATION if 500 <= number < 600 else None


def by_smtp_reply(number: int) -> ErrorType | None:
    """The class of an SMTP reply; None where it isn't an error."""
    if 400 <= number < 500:
        return _TRANSIENT
    if not 500 <= number < 600:
        return None
    refused = number in {502, 504, 521, 530, 534, 535, 538, 550, 551, 553}
    return _CONFIGURATION if refused else _DATA
