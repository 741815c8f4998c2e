"""Codes that services give in words: Azure, Elasticsearch, Kubernetes, S3's kin, OAuth, web APIs.

Words of different services don't collide, so that one table holds them; AWS's and Google's are in
``vendor_code``. ``ThrottlingException`` and ``throttling_exception`` are the same word.
"""

from seawall.classification.class_word import by_class_words
from seawall.classification.error_type import ErrorType
from seawall.classification.vendor_code import AWS_CODES, GOOGLE_REASONS

_TRANSIENT, _CONFIGURATION, _DATA, _SYSTEM = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
)
_SHORTEST, _LONGEST = 4, 80

_WORDS: dict[ErrorType, str] = {
    _TRANSIENT: """
        ServerBusy OperationTimedOut ServerTimeout TooManyRequests Throttled RequestRateTooLarge
        LeaseIdMissing LeaseAlreadyPresent LeaseIdMismatchWithBlobOperation LeaseLost
        ContainerBeingDeleted QueueBeingDeleted TableBeingDeleted ShareBeingDeleted
        BlobBeingRehydrated SnapshotOperationRateExceeded PendingCopyOperation
        AccountBeingCreated DatabaseNotAvailable GatewayTimeout AnotherOperationInProgress
        ConcurrentUpdateError RetryableError
        es_rejected_execution_exception circuit_breaking_exception unavailable_shards_exception
        no_shard_available_action_exception master_not_discovered_exception
        process_cluster_event_timeout_exception receive_timeout_transport_exception
        node_disconnected_exception node_not_connected_exception connect_transport_exception
        cluster_manager_not_discovered_exception no_master_block_exception
        rate_limit_exceeded rate_limited ratelimited rate_limit rateLimited too_many_requests
        slow_down temporarily_unavailable server_error overloaded_error service_unavailable
        request_limit_exceeded RequestLimitExceeded UNABLE_TO_LOCK_ROW SERVER_UNAVAILABLE
        lock_timeout RESOURCE_EXHAUSTED internal_server_error fatal_error team_added_to_org
        NotReadyException api_connection_error TooManyConnections timeout UNAVAILABLE
        DEADLINE_EXCEEDED ABORTED XMinioServerNotInitialized ServerNotInitialized
        PAGE_TRANSPORT_TIMEOUT PAGE_TRANSPORT_ERROR TOO_MANY_REQUESTS_FAILED NO_NODES_AVAILABLE
        SERVER_STARTING_UP SERVER_SHUTTING_DOWN REMOTE_HOST_GONE REMOTE_TASK_ERROR ABANDONED_QUERY
        QUERY_QUEUE_FULL CLUSTER_OUT_OF_QUERY_QUEUE EXCEEDED_TIME_LIMIT TRANSACTION_CONFLICT
    """,
    _CONFIGURATION: """
        AuthenticationFailed AuthorizationFailure AuthorizationPermissionMismatch
        InsufficientAccountPermissions AccountIsDisabled InvalidAuthenticationInfo
        ContainerNotFound QueueNotFound ShareNotFound TableNotFound ResourceNotFound BlobNotFound
        NoAuthenticationInformation AuthorizationFailed InvalidAuthenticationToken
        SubscriptionNotFound ResourceGroupNotFound FeatureVersionMismatch
        security_exception index_not_found_exception invalid_index_name_exception
        parsing_exception query_shard_exception aliases_not_found_exception
        snapshot_missing_exception repository_missing_exception action_request_validation_exception
        index_closed_exception x_content_parse_exception
        invalid_grant invalid_client invalid_scope unauthorized_client invalid_token
        unauthorized invalid_auth not_authed account_inactive token_revoked token_expired
        missing_scope channel_not_found access_denied no_permission org_login_required
        invalid_api_key authentication_error permission_error insufficient_quota
        billing_not_active model_not_found permission_denied
        INVALID_LOGIN INVALID_SESSION_ID INSUFFICIENT_ACCESS API_DISABLED_FOR_ORG INVALID_FIELD
        INVALID_TYPE MALFORMED_QUERY PERMISSION_DENIED UNAUTHENTICATED UNIMPLEMENTED
        TABLE_NOT_FOUND SCHEMA_NOT_FOUND CATALOG_NOT_FOUND COLUMN_NOT_FOUND SYNTAX_ERROR
        FUNCTION_NOT_FOUND NOT_SUPPORTED MISSING_CATALOG_NAME MISSING_SCHEMA_NAME TYPE_MISMATCH
        PERMISSION_DENIED INVALID_SESSION_PROPERTY TABLE_ALREADY_EXISTS
        UNKNOWN_TABLE UNKNOWN_DATABASE UNKNOWN_IDENTIFIER AUTHENTICATION_FAILED ACCESS_DENIED
        InvalidBucketName NoSuchBucketPolicy InvalidRegion
    """,
    _DATA: """
        BlobAlreadyExists EntityAlreadyExists Md5Mismatch InvalidInput OutOfRangeInput
        RequestBodyTooLarge PropertyValueTooLarge ConditionNotMet UpdateConditionNotSatisfied
        InvalidBlobOrBlock InvalidBlockList EntityTooLarge RequestEntityTooLarge
        mapper_parsing_exception document_parsing_exception strict_dynamic_mapping_exception
        illegal_argument_exception version_conflict_engine_exception
        resource_already_exists_exception document_missing_exception number_format_exception
        json_parse_exception
        REQUIRED_FIELD_MISSING DUPLICATE_VALUE STRING_TOO_LONG FIELD_INTEGRITY_EXCEPTION
        FIELD_CUSTOM_VALIDATION_EXCEPTION INVALID_EMAIL_ADDRESS INVALID_CROSS_REFERENCE_KEY
        JSON_PARSER_ERROR ENTITY_IS_DELETED NUMBER_OUTSIDE_VALID_RANGE
        invalid_request_error msg_too_long no_text card_declined context_length_exceeded
        INVALID_ARGUMENT OUT_OF_RANGE ALREADY_EXISTS unprocessable
        INVALID_CAST_ARGUMENT DIVISION_BY_ZERO NUMERIC_VALUE_OUT_OF_RANGE CONSTRAINT_VIOLATION
        INVALID_FUNCTION_ARGUMENT HIVE_BAD_DATA ICEBERG_BAD_DATA SUBQUERY_MULTIPLE_ROWS
    """,
    _SYSTEM: """
        AccountQuotaExceeded InsufficientStorage QuotaExceeded XMinioStorageFull StorageFull
        STORAGE_LIMIT_EXCEEDED EXCEEDED_MEMORY_LIMIT EXCEEDED_LOCAL_MEMORY_LIMIT
        EXCEEDED_GLOBAL_MEMORY_LIMIT EXCEEDED_SPILL_LIMIT OUT_OF_SPILL_SPACE
        CLUSTER_OUT_OF_MEMORY MEMORY_LIMIT_EXCEEDED NOT_ENOUGH_SPACE DATA_LOSS OutOfMemory
        GENERIC_INSUFFICIENT_RESOURCES EvictedPod OOMKilled
    """,
}


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


SERVICE_CODES: dict[str, ErrorType] = {
    _plain(word): error_type
    for table in (
        GOOGLE_REASONS,
        AWS_CODES,
        {word: error_type for error_type, words in _WORDS.items() for word in words.split()},
    )
    for word, error_type in table.items()
}


def by_service_code(code: str) -> ErrorType | None:
    """The class of a word that a service gave as its code, however it spells it."""
    return SERVICE_CODES.get(_plain(code)) if _SHORTEST < len(code) < _LONGEST else None


def by_words_of_code(code: str) -> ErrorType | None:
    """What the words of a code suggest that no table knows: ``NO_SUCH_TABLE``, ``dns_timeout``."""
    if not _SHORTEST < len(code) < _LONGEST:
        return None
    if "_" in code or code.isupper():
        code = "".join(part.capitalize() for part in code.split("_"))
    return by_class_words(code[:1].upper() + code[1:])
