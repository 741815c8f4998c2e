"""Types of further clients and data libraries to recovery class; see ``type_name``.

By module and class, as ``type(exc)`` spells them: none of these libraries is imported.
"""

from seawall.classification.error_type import ErrorType

Table = dict[str, dict[ErrorType, str]]
_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)

DATABASES: Table = {
    "MySQLdb": {_DATA: "IntegrityError DataError"},
    "aiosqlite": {_DATA: "IntegrityError"},
    "asyncmy.errors": {_DATA: "IntegrityError DataError"},
    "cassandra": {
        _TRANSIENT: "Unavailable Timeout OperationTimedOut WriteFailure ReadFailure",
        _CONFIGURATION: "AuthenticationFailed Unauthorized UnsupportedOperation AlreadyExists",
    },
    "cassandra.cluster": {_TRANSIENT: "NoHostAvailable"},
    "cassandra.connection": {_TRANSIENT: "ConnectionShutdown ConnectionException"},
    "clickhouse_driver.errors": {
        _TRANSIENT: "NetworkError SocketTimeoutError PartiallyConsumedQueryError",
        _CONFIGURATION: "UnknownTypeError",
        _DATA: "TypeMismatchError StructReadException",
        _SYSTEM: "ChecksumDoesntMatchError",
    },
    "django.core.exceptions": {
        _CONFIGURATION: "ImproperlyConfigured PermissionDenied",
        _DATA: "ValidationError SuspiciousOperation",
    },
    "django.db.utils": {_DATA: "IntegrityError DataError"},
    "duckdb": {
        _TRANSIENT: "TransactionException InterruptException ConnectionException",
        _CONFIGURATION: (
            "CatalogException ParserException SyntaxException BinderException PermissionException"
            " NotImplementedException InvalidTypeException"
        ),
        _DATA: (
            "ConversionException ConstraintException InvalidInputException OutOfRangeException"
            " TypeMismatchException SequenceException"
        ),
        _SYSTEM: "OutOfMemoryException FatalException InternalException",
    },
    "neo4j.exceptions": {
        _TRANSIENT: "ServiceUnavailable SessionExpired TransientError ReadServiceUnavailable",
        _CONFIGURATION: "AuthError CypherSyntaxError ConfigurationError Forbidden",
        _DATA: "ConstraintError CypherTypeError",
    },
    "peewee": {_DATA: "IntegrityError DataError"},
    "sqlalchemy.orm.exc": {_TRANSIENT: "StaleDataError", _CONFIGURATION: "UnmappedError"},
    "tortoise.exceptions": {
        _TRANSIENT: "DBConnectionError TransactionManagementError",
        _CONFIGURATION: "ConfigurationError ParamsError UnSupportedError",
        _DATA: "IntegrityError ValidationError DoesNotExist MultipleObjectsReturned",
    },
    "trino.exceptions": {
        _TRANSIENT: "TrinoConnectionError Http502Error Http503Error Http504Error",
        _CONFIGURATION: "TrinoAuthError",
    },
}

SERVICES: Table = {
    "azure.core.exceptions": {
        _TRANSIENT: (
            "ServiceRequestError ServiceResponseError ServiceRequestTimeoutError"
            " IncompleteReadError ServiceResponseTimeoutError"
        ),
        _CONFIGURATION: (
            "ClientAuthenticationError ResourceNotFoundError TooManyRedirectsError"
            " ResourceNotModifiedError"
        ),
        _DATA: "ResourceExistsError ResourceModifiedError DecodeError DeserializationError",
    },
    "azure.identity": {_CONFIGURATION: "CredentialUnavailableError"},
    "azure.identity._exceptions": {_CONFIGURATION: "CredentialUnavailableError"},
    "docker.errors": {
        _CONFIGURATION: "NotFound ImageNotFound InvalidConfigFile TLSParameterError",
        _DATA: "InvalidArgument BuildError",
    },
    "elastic_transport": {
        _TRANSIENT: "ConnectionTimeout",
        _CONFIGURATION: "TlsError",
        _DATA: "SerializationError",
    },
    "elasticsearch.helpers.errors": {_DATA: "BulkIndexError"},
    "elasticsearch.helpers": {_DATA: "BulkIndexError"},
    "opensearchpy.exceptions": {
        _TRANSIENT: "ConnectionTimeout",
        _CONFIGURATION: "SSLError ImproperlyConfigured",
        _DATA: "SerializationError",
    },
    "opensearchpy.helpers.errors": {_DATA: "BulkIndexError"},
    "google.api_core.exceptions": {
        _TRANSIENT: "RetryError ServerError TooManyRequests Aborted Cancelled",
        _CONFIGURATION: "Forbidden Unauthorized NotFound MethodNotImplemented",
        _DATA: "BadRequest InvalidArgument OutOfRange Conflict AlreadyExists",
    },
    "google.cloud.storage.exceptions": {_DATA: "DataCorruption InvalidResponse"},
    "google.resumable_media.common": {_DATA: "DataCorruption"},
    "google.cloud.exceptions": {_CONFIGURATION: "Forbidden NotFound", _DATA: "BadRequest"},
    "hvac.exceptions": {
        _TRANSIENT: "VaultDown BadGateway InternalServerError RateLimitExceeded UnexpectedError",
        _CONFIGURATION: "Forbidden Unauthorized InvalidPath UnsupportedOperation",
        _DATA: "InvalidRequest ParamValidationError",
    },
    "kubernetes.config.config_exception": {_CONFIGURATION: "ConfigException"},
    "minio.error": {_TRANSIENT: "ServerError", _DATA: "InvalidResponseError"},
    "openai": {
        _TRANSIENT: "APITimeoutError APIConnectionError",
        _DATA: "APIResponseValidationError LengthFinishReasonError",
    },
    "anthropic": {_TRANSIENT: "APITimeoutError APIConnectionError"},
    "stripe._error": {
        _TRANSIENT: "APIConnectionError RateLimitError",
        _CONFIGURATION: "AuthenticationError PermissionError SignatureVerificationError",
        _DATA: "CardError InvalidRequestError IdempotencyError",
    },
    "zeep.exceptions": {
        _CONFIGURATION: "LookupError NamespaceError WsdlSyntaxError",
        _DATA: "ValidationError XMLParseError XMLSyntaxError SignatureVerificationFailed",
    },
}

BROKERS: Table = {
    "aiormq.exceptions": {
        _TRANSIENT: "AMQPConnectionError DeliveryError ChannelInvalidStateError PublishError",
        _CONFIGURATION: (
            "AuthenticationError ProbableAuthenticationError ChannelNotFoundEntity"
            " ChannelAccessRefused ChannelPreconditionFailed ConnectionNotAllowed"
            " ConnectionSyntaxError IncompatibleProtocolError"
        ),
        _DATA: "InvalidFrameError",
    },
    "billiard.exceptions": {
        _SYSTEM: "WorkerLostError",
        _TRANSIENT: "SoftTimeLimitExceeded TimeLimitExceeded",
    },
    "celery.exceptions": {
        _TRANSIENT: "SoftTimeLimitExceeded TimeLimitExceeded TimeoutError BackendGetMetaError",
        _CONFIGURATION: "NotRegistered ImproperlyConfigured SecurityError QueueNotFound",
        _SYSTEM: "WorkerLostError",
    },
    "confluent_kafka.error": {
        _DATA: (
            "KeyDeserializationError ValueDeserializationError KeySerializationError"
            " ValueSerializationError"
        ),
    },
    "kafka.errors": {
        _TRANSIENT: (
            "NoBrokersAvailable KafkaTimeoutError NodeNotReadyError KafkaConnectionError"
            " IllegalGenerationError RebalanceInProgressError CommitFailedError"
            " UnknownMemberIdError"
        ),
        _CONFIGURATION: (
            "TopicAuthorizationFailedError GroupAuthorizationFailedError AuthenticationFailedError"
            " ClusterAuthorizationFailedError UnsupportedSaslMechanismError UnsupportedVersionError"
            " SaslAuthenticationFailedError InvalidTopicError UnrecognizedBrokerVersion"
            " UnsupportedCodecError KafkaConfigurationError"
        ),
        _DATA: (
            "MessageSizeTooLargeError RecordListTooLargeError OffsetOutOfRangeError"
            " CorruptRecordException CorruptRecordError InvalidMessageError"
        ),
        _SYSTEM: "KafkaStorageError",
    },
    "kombu.exceptions": {
        _DATA: "EncodeError DecodeError SerializationError ContentDisallowed",
        _TRANSIENT: "ConnectionLimitExceeded ChannelLimitExceeded",
    },
    "nats.errors": {
        _TRANSIENT: (
            "TimeoutError NoServersError NoRespondersError ConnectionClosedError"
            " StaleConnectionError OutboundBufferLimitError SlowConsumerError"
            " ConnectionDrainingError ConnectionReconnectingError"
            " FlushTimeoutError DrainTimeoutError"
        ),
        _CONFIGURATION: (
            "AuthorizationError BadSubjectError BadSubscriptionError SecureConnRequiredError"
            " SecureConnWantedError SecureConnFailedError InvalidUserCredentialsError"
        ),
        _DATA: "MaxPayloadError JsonParseError",
    },
    "pika.exceptions": {
        _CONFIGURATION: (
            "ProbableAuthenticationError AuthenticationError ProbableAccessDeniedError"
            " IncompatibleProtocolError NoFreeChannels InvalidChannelNumber"
        ),
        _TRANSIENT: "StreamLostError ConnectionOpenAborted ConnectionBlockedTimeout NackError",
        _DATA: "BodyTooLongError UnroutableError InvalidFrameError UnsupportedAMQPFieldException",
    },
    "websockets.exceptions": {
        _TRANSIENT: "ConnectionClosed InvalidMessage",
        _CONFIGURATION: (
            "InvalidURI InvalidHandshake InvalidProxy NegotiationError SecurityError ProxyError"
        ),
        _DATA: "PayloadTooBig",
    },
}

NETWORK: Table = {
    "aiosmtplib.errors": {
        _TRANSIENT: "SMTPServerDisconnected SMTPConnectError SMTPTimeoutError",
        _CONFIGURATION: "SMTPAuthenticationError SMTPNotSupported",
        _DATA: "SMTPRecipientRefused SMTPRecipientsRefused",
    },
    "asyncssh.misc": {
        _TRANSIENT: "ConnectionLost ServiceNotAvailable",
        _CONFIGURATION: (
            "PermissionDenied HostKeyNotVerifiable KeyExchangeFailed ProtocolNotSupported"
            " IllegalUserName KeyImportError"
        ),
    },
    "dns.exception": {_TRANSIENT: "Timeout", _DATA: "SyntaxError FormError"},
    "dns.resolver": {
        _TRANSIENT: "LifetimeTimeout NoNameservers",
        _CONFIGURATION: "NXDOMAIN NoAnswer YXDOMAIN NoResolverConfiguration",
    },
    "ldap3.core.exceptions": {
        _TRANSIENT: (
            "LDAPSocketOpenError LDAPSocketReceiveError LDAPSocketSendError LDAPBusyResult"
            " LDAPUnavailableResult LDAPTimeLimitExceededResult LDAPServerPoolExhaustedError"
            " LDAPSessionTerminatedByServerError LDAPResponseTimeoutError LDAPSocketCloseError"
            " LDAPMaximumRetriesError"
        ),
        _CONFIGURATION: (
            "LDAPInvalidCredentialsResult LDAPInsufficientAccessRightsResult LDAPBindError"
            " LDAPNoSuchObjectResult LDAPInvalidServerError LDAPCertificateError LDAPStartTLSError"
            " LDAPStrongerAuthRequiredResult LDAPInvalidFilterError LDAPConfigurationError"
            " LDAPSSLConfigurationError LDAPAuthMethodNotSupportedResult"
            " LDAPPasswordIsMandatoryError"
        ),
        _DATA: (
            "LDAPEntryAlreadyExistsResult LDAPConstraintViolationResult LDAPInvalidDNError"
            " LDAPObjectClassViolationResult LDAPInvalidAttributeSyntaxResult LDAPInvalidValueError"
            " LDAPAttributeOrValueExistsResult LDAPInvalidDnError LDAPInvalidDNSyntaxResult"
        ),
    },
    "paramiko.ssh_exception": {
        _CONFIGURATION: (
            "PasswordRequiredException IncompatiblePeer PartialAuthentication ConfigParseError"
            " UnableToAuthenticate CouldNotCanonicalize"
        ),
        _TRANSIENT: "ChannelException ProxyCommandFailure",
    },
    "trio": {
        _TRANSIENT: "BrokenResourceError BusyResourceError TooSlowError WouldBlock EndOfChannel"
    },
}

FORMATS: Table = {
    "attr.exceptions": {_DATA: "NotAnAttrsClassError"},
    "cattrs.errors": {
        _DATA: "BaseValidationError ForbiddenExtraKeysError",
        _CONFIGURATION: "StructureHandlerNotFoundError",
    },
    "cerberus.validator": {_DATA: "DocumentError"},
    "cerberus.schema": {_CONFIGURATION: "SchemaError"},
    "dateutil.parser._parser": {_DATA: "ParserError UnknownTimezoneWarning"},
    "deltalake.exceptions": {
        _TRANSIENT: "CommitFailedError",
        _CONFIGURATION: "TableNotFoundError",
        _DATA: "SchemaMismatchError DeltaProtocolError",
    },
    "fastavro._read_common": {_DATA: "SchemaResolutionError"},
    "google.protobuf.json_format": {_DATA: "Error"},
    "google.protobuf.message": {_DATA: "Error"},
    "jsonschema.exceptions": {_CONFIGURATION: "SchemaError", _DATA: "UndefinedTypeCheck"},
    "lxml.etree": {
        _DATA: "XMLSyntaxError DocumentInvalid ParserError",
        _CONFIGURATION: "XPathError",
    },
    "msgpack.exceptions": {_DATA: "UnpackException UnpackValueError ExtraData"},
    "openpyxl.utils.exceptions": {_DATA: "InvalidFileException ReadOnlyWorkbookException"},
    "orjson": {_DATA: "JSONDecodeError JSONEncodeError"},
    "pandera.errors": {
        _DATA: "SchemaError SchemaErrors ParserError",
        _CONFIGURATION: "SchemaDefinitionError SchemaInitError BackendNotFoundError",
    },
    "polars.exceptions": {
        _CONFIGURATION: "SQLSyntaxError SQLInterfaceError ModuleUpgradeRequiredError",
        _DATA: (
            "SchemaFieldNotFoundError StructFieldNotFoundError StringCacheMismatchError"
            " RowsError NoRowsReturnedError TooManyRowsReturnedError CategoricalRemappingWarning"
        ),
    },
    "pyarrow.lib": {
        _CONFIGURATION: "ArrowNotImplementedError",
        _SYSTEM: "ArrowMemoryError ArrowCapacityError",
        _TRANSIENT: "ArrowCancelled",
        _DATA: "ArrowSerializationError",
    },
    "simplejson.errors": {_DATA: "JSONDecodeError"},
    "simplejson.scanner": {_DATA: "JSONDecodeError"},
    "ujson": {_DATA: "JSONDecodeError"},
    "xlrd.biffh": {_DATA: "XLRDError"},
    "yaml.error": {_DATA: "MarkedYAMLError YAMLError"},
}

BROAD: Table = {
    "clickhouse_connect.driver.exceptions": {
        _CONFIGURATION: "ProgrammingError NotSupportedError",
        _DATA: "DataError IntegrityError StreamFailureError",
    },
    "django.db.utils": {_CONFIGURATION: "ProgrammingError NotSupportedError"},
    "duckdb": {_TRANSIENT: "HTTPException IOException", _CONFIGURATION: "ProgrammingError"},
    "kombu.exceptions": {_TRANSIENT: "OperationalError"},
    "mysql.connector.errors": {_TRANSIENT: "PoolError"},
    "opensearchpy.exceptions": {_TRANSIENT: "ConnectionError"},
    "pika.exceptions": {_TRANSIENT: "AMQPConnectionError", _CONFIGURATION: "AMQPChannelError"},
    "pymysql.err": {_CONFIGURATION: "ProgrammingError NotSupportedError"},
    "asyncssh.misc": {_TRANSIENT: "DisconnectError"},
    "websockets.exceptions": {_TRANSIENT: "WebSocketException"},
}
