"""Qualified type names to recovery class.

``TYPES`` decide; ``PRESUMED`` count only where nothing else says anything.

Presumed are the broad types, raised for opposite things (``ValueError``, ``httpx.ConnectError``):
their cause and their message are asked first. The tables hold a module's names by class, so that
a reader sees a library at a glance.
"""

from collections.abc import Iterator

from seawall.classification import client_type
from seawall.classification.error_type import ErrorType

_Table = client_type.Table
_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)

_STANDARD_LIBRARY: _Table = {
    "builtins": {
        _TRANSIENT: (
            "TimeoutError ConnectionResetError ConnectionAbortedError ConnectionRefusedError"
            " BrokenPipeError BlockingIOError InterruptedError"
        ),
        _CONFIGURATION: (
            "PermissionError FileNotFoundError NotADirectoryError IsADirectoryError FileExistsError"
            " ImportError ModuleNotFoundError"
        ),
        _DATA: "UnicodeError EOFError",
        _SYSTEM: "MemoryError",
    },
    "_csv": {_DATA: "Error"},
    "_lzma": {_DATA: "LZMAError"},
    "_pickle": {_DATA: "UnpicklingError PicklingError"},
    "asyncio.exceptions": {_TRANSIENT: "IncompleteReadError", _DATA: "LimitOverrunError"},
    "asyncio.queues": {_TRANSIENT: "QueueFull QueueEmpty"},
    "binascii": {_DATA: "Error Incomplete"},
    "concurrent.futures._base": {_TRANSIENT: "CancelledError"},
    "concurrent.futures.process": {_SYSTEM: "BrokenProcessPool"},
    "concurrent.futures.thread": {_SYSTEM: "BrokenThreadPool"},
    "configparser": {_CONFIGURATION: "Error"},
    "decimal": {_DATA: "DecimalException"},
    "ftplib": {_TRANSIENT: "error_temp", _CONFIGURATION: "error_perm"},
    "gzip": {_DATA: "BadGzipFile"},
    "http.client": {
        _TRANSIENT: "RemoteDisconnected IncompleteRead BadStatusLine",
        _CONFIGURATION: "InvalidURL UnknownProtocol CannotSendRequest",
    },
    "json.decoder": {_DATA: "JSONDecodeError"},
    "smtplib": {
        _TRANSIENT: "SMTPServerDisconnected SMTPConnectError",
        _CONFIGURATION: "SMTPAuthenticationError SMTPNotSupportedError SMTPSenderRefused",
        _DATA: "SMTPDataError SMTPRecipientsRefused",
    },
    "sqlite3": {_DATA: "IntegrityError DataError ProgrammingError"},
    "ssl": {
        _TRANSIENT: (
            "SSLZeroReturnError SSLWantReadError SSLWantWriteError SSLSyscallError SSLEOFError"
        ),
        _CONFIGURATION: "SSLError",
    },
    "struct": {_DATA: "error"},
    "subprocess": {_TRANSIENT: "TimeoutExpired"},
    "tarfile": {_DATA: "TarError"},
    "tomllib": {_CONFIGURATION: "TOMLDecodeError"},
    "xml.etree.ElementTree": {_DATA: "ParseError"},
    "xml.parsers.expat": {_DATA: "ExpatError"},
    "zipfile": {_DATA: "BadZipFile LargeZipFile"},
    "zlib": {_DATA: "error"},
    "zoneinfo._common": {_CONFIGURATION: "ZoneInfoNotFoundError"},
}

_CLIENTS: _Table = {
    "aiohttp.client_exceptions": {
        _TRANSIENT: "ServerDisconnectedError ServerTimeoutError SocketTimeoutError",
        _CONFIGURATION: (
            "ClientConnectorCertificateError ClientConnectorSSLError ClientSSLError InvalidURL"
            " TooManyRedirects WSServerHandshakeError NonHttpUrlClientError"
        ),
        _DATA: "ContentTypeError",
    },
    "aiohttp.http_exceptions": {
        _TRANSIENT: "ContentLengthError TransferEncodingError",
        _DATA: "ContentEncodingError",
    },
    "aiokafka.errors": {
        _TRANSIENT: (
            "BrokerNotAvailableError ReplicaNotAvailableError IllegalGenerationError"
            " CommitFailedError"
            " UnknownMemberIdError RebalanceInProgressError KafkaTimeoutError ConsumerStoppedError"
        ),
        _CONFIGURATION: (
            "InvalidTopicError TopicAuthorizationFailedError GroupAuthorizationFailedError"
            " ClusterAuthorizationFailedError UnsupportedSaslMechanismError UnsupportedVersionError"
            " UnsupportedCodecError UnrecognizedBrokerVersion ProducerFenced"
            " AuthenticationFailedError"
            " SaslAuthenticationFailed"
        ),
        _DATA: (
            "OffsetOutOfRangeError CorruptRecordException MessageSizeTooLargeError"
            " RecordListTooLargeError"
        ),
        _SYSTEM: "KafkaStorageError",
    },
    "anyio": {_TRANSIENT: "BrokenResourceError EndOfStream WouldBlock IncompleteRead"},
    "anyio._core._exceptions": {
        _TRANSIENT: "BrokenResourceError EndOfStream WouldBlock IncompleteRead",
        _SYSTEM: "BrokenWorkerProcess BrokenWorkerInterpreter",
        _DATA: "DelimiterNotFound",
    },
    "asyncpg.exceptions._base": {
        _CONFIGURATION: "ClientConfigurationError",
        _TRANSIENT: "InternalClientError",  # its connection died in the middle of something
    },
    "avro.errors": {_DATA: "AvroException"},
    "botocore.exceptions": {
        _TRANSIENT: "ConnectTimeoutError ReadTimeoutError ConnectionClosedError WaiterError",
        _CONFIGURATION: (
            "NoCredentialsError PartialCredentialsError CredentialRetrievalError NoRegionError"
            " ProfileNotFound UnknownServiceError SSLError InvalidRegionError ConfigNotFound"
            " TokenRetrievalError UnauthorizedSSOTokenError DataNotFoundError NoAuthTokenError"
        ),
        _DATA: "ParamValidationError ValidationError ChecksumError FlexibleChecksumError",
    },
    "bson.errors": {_DATA: "BSONError"},
    "elastic_transport": {_TRANSIENT: "ConnectionTimeout"},
    "fastavro._schema_common": {_DATA: "SchemaParseException"},
    "google.auth.exceptions": {
        _TRANSIENT: "TransportError",
        _CONFIGURATION: "DefaultCredentialsError RefreshError",
    },
    "httpx": {
        _TRANSIENT: "TimeoutException",
        _CONFIGURATION: "InvalidURL UnsupportedProtocol TooManyRedirects LocalProtocolError",
        _DATA: "DecodingError",
    },
    "jsonschema.exceptions": {_DATA: "ValidationError"},
    "marshmallow.exceptions": {_DATA: "ValidationError"},
    "msgspec": {_DATA: "DecodeError ValidationError EncodeError"},
    "pandas._libs.tslibs.np_datetime": {_DATA: "OutOfBoundsDatetime OutOfBoundsTimedelta"},
    "pandas._libs.tslibs.parsing": {_DATA: "DateParseError"},
    "pandas.errors": {
        _DATA: (
            "ParserError EmptyDataError IntCastingNaNError MergeError DtypeWarning"
            " InvalidIndexError"
            " OutOfBoundsDatetime DuplicateLabelError"
        ),
    },
    "paramiko.ssh_exception": {
        _CONFIGURATION: "AuthenticationException BadHostKeyException BadAuthenticationType",
        _TRANSIENT: "NoValidConnectionsError",
    },
    "polars.exceptions": {
        _DATA: (
            "ComputeError SchemaError ShapeError NoDataError InvalidOperationError OutOfBoundsError"
            " ColumnNotFoundError DuplicateError"
        ),
    },
    "psycopg.errors": {_TRANSIENT: "ConnectionTimeout"},
    "psycopg_pool": {_TRANSIENT: "PoolTimeout TooManyRequests"},
    "psycopg": {_DATA: "DataError IntegrityError"},
    "psycopg2": {_DATA: "DataError IntegrityError"},
    "pyarrow.lib": {_DATA: "ArrowInvalid ArrowTypeError ArrowKeyError ArrowIndexError"},
    "pydantic_core._pydantic_core": {_DATA: "ValidationError"},
    "pydantic_settings.exceptions": {_CONFIGURATION: "SettingsError"},
    "pymongo.errors": {
        _TRANSIENT: "AutoReconnect CursorNotFound ExecutionTimeout WaitQueueTimeoutError",
        _CONFIGURATION: "ConfigurationError InvalidOperation InvalidName CollectionInvalid",
        _DATA: "DuplicateKeyError BulkWriteError DocumentTooLarge",
    },
    "redis.exceptions": {
        _TRANSIENT: "TimeoutError BusyLoadingError WatchError LockError MaxConnectionsError",
        _CONFIGURATION: "AuthenticationError AuthorizationError NoPermissionError ModuleError",
        _DATA: "DataError ExecAbortError",
        _SYSTEM: "OutOfMemoryError",
    },
    "requests.exceptions": {
        _TRANSIENT: "Timeout ChunkedEncodingError",
        _CONFIGURATION: (
            "MissingSchema InvalidSchema InvalidURL InvalidHeader TooManyRedirects"
            " SSLError ProxyError"
        ),
        _DATA: "ContentDecodingError InvalidJSONError",
    },
    "snowflake.connector.errors": {_DATA: "IntegrityError DataError"},
    "sqlalchemy.exc": {
        _TRANSIENT: "TimeoutError DisconnectionError",
        _CONFIGURATION: "NoSuchModuleError ArgumentError NoSuchTableError NoReferenceError",
    },
    "urllib3.exceptions": {
        _TRANSIENT: "TimeoutError IncompleteRead",
        _CONFIGURATION: "LocationValueError SSLError URLSchemeUnknown InvalidHeader",
        _DATA: "DecodeError",
    },
}

_SEAWALL: _Table = {
    "seawall.errors": {
        _TRANSIENT: (
            "RefusedError DeadlineExceededError AttemptTimeoutError DatabaseUnavailableError"
            " StepHeldError"
        ),
        _CONFIGURATION: (
            "InvalidConfigError NotStartedError StaleRunError CheckpointError MissingTableError"
            " UnsupportedServerError MigrationError QuarantineKeyError ShutdownError"
            " TransactionEndedError"
        ),
        _DATA: "TooManyBadRecordsError CodecError PayloadTooLargeError",
        _SYSTEM: "EmbeddedServerError",
    },
}

_BROAD: _Table = {
    "builtins": {
        _TRANSIENT: "ConnectionError",
        _DATA: (
            "ValueError TypeError KeyError IndexError ZeroDivisionError OverflowError"
            " FloatingPointError"
        ),
    },
    "aiohttp.client_exceptions": {_TRANSIENT: "ClientConnectionError ClientPayloadError"},
    "asyncpg.exceptions": {_TRANSIENT: "PostgresConnectionError"},
    "botocore.exceptions": {_TRANSIENT: "ConnectionError HTTPClientError"},
    "elastic_transport": {_TRANSIENT: "ConnectionError"},
    "httpcore": {_TRANSIENT: "NetworkError TimeoutException RemoteProtocolError"},
    "httpx": {_TRANSIENT: "TransportError"},
    "paramiko.ssh_exception": {_TRANSIENT: "SSHException"},
    "psycopg": {_CONFIGURATION: "ProgrammingError NotSupportedError"},
    "psycopg2": {_CONFIGURATION: "ProgrammingError NotSupportedError"},
    "redis.exceptions": {_TRANSIENT: "ConnectionError"},
    "requests.exceptions": {_TRANSIENT: "ConnectionError RetryError"},
    "sqlalchemy.exc": {
        _CONFIGURATION: "ProgrammingError NotSupportedError",
        _DATA: "DataError IntegrityError StatementError",
    },
    "urllib.error": {_TRANSIENT: "URLError ContentTooShortError"},
    "urllib3.exceptions": {_TRANSIENT: "MaxRetryError ProtocolError NewConnectionError"},
}


def _entries(*tables: _Table) -> Iterator[tuple[str, ErrorType]]:
    for table in tables:
        for module, classes in table.items():
            for error_type, names in classes.items():
                for name in names.split():
                    yield f"{module}.{name}", error_type


TYPES: dict[str, ErrorType] = dict(
    _entries(
        _STANDARD_LIBRARY,
        _CLIENTS,
        client_type.DATABASES,
        client_type.SERVICES,
        client_type.BROKERS,
        client_type.NETWORK,
        client_type.FORMATS,
        _SEAWALL,
    )
)
PRESUMED: dict[str, ErrorType] = dict(_entries(client_type.BROAD, _BROAD))
