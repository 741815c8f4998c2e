"""What the words of a type's own name suggest, for libraries that no table knows."""

import re

from seawall.classification.error_type import ErrorType

# In this order: ``ConnectionConfigurationError`` is a configuration error.
_WORDS: tuple[tuple[ErrorType, re.Pattern[str]], ...] = (
    # What reads like another class: a record's syntax, a session or a lock that can be had again.
    (
        ErrorType.DATA,
        re.compile(r"(?:XML|JSON|Json|Xml|CSV|Yaml|YAML|Avro)Syntax|Deserializ|SerializationErr"),
    ),
    (
        ErrorType.TRANSIENT,
        re.compile(
            r"SerializationFailure|(?:Session|Lease|Cursor|Snapshot|Lock)(?:Expired|Lost)"
            r"|(?:Connection|Session|Cursor|Server)(?:DoesNotExist|NotFound)"
            r"|(?:Server|Host|Broker|Node|Nameserver|Connection|Leader|Responder|Primary)s?NotAvail"
            r"|^No(?:Valid)?(?:Server|Host|Broker|Node|Nameserver|Connection|Leader|Responder)s"
            r"|NoHostAvailable|AuthServiceUnavailable"
        ),
    ),
    (
        ErrorType.CONFIGURATION,
        re.compile(
            r"Auth|Credential|Permission|Forbidden|Access(?:Denied|Refused)|Configur"
            r"|Config(?:Error|Exception)|Certificate|SSL|Tls(?:Error|Exception)|Unsupported"
            r"|NotSupported|NoSuch(?!Key|Record|Element)|Settings|NotAllowed|Incompatible|HostKey"
            r"|Password|Invalid(?:UR[IL]|Header|Path|Schema$|Port|Host|Token|Region|Endpoint)"
            r"|(?:Token|Key|License)Expired|ExpiredToken|TooManyRedirects|NotRegistered"
            r"|(?<!Record)(?<!Key)(?<!Row)(?<!Element)(?:NotFound|DoesNotExist)|NXDOMAIN"
            r"|(?:Missing|Unknown|Undefined)(?:Table|Database|Topic|Service|Host|Option|Setting"
            r"|Function|Identifier|Queue|Plugin|Driver|Schema$|User|Bucket|Index)|Syntax"
            r"|NotImplemented|ImproperlyConfigured|LocalProtocol|MethodNot|Unimplemented|Billing"
        ),
    ),
    (
        ErrorType.SYSTEM,
        re.compile(
            r"OutOfMemory|OutOfDisk|DiskFull|Corrupt(?!Record|Message|File|ion$)|StorageFull|NoSpace"
            r"|(?:Memory|Storage)(?:Limit|Exhausted|Error)|Resource(?:Limit|Exhausted)|WorkerLost"
            r"|BrokenWorker"
            r"|BrokenProcess|InsufficientStorage|QuotaExceeded"
        ),
    ),
    (
        ErrorType.DATA,
        re.compile(
            r"Validation|Pars(?:e|er|ing)(?=Error|Exception|$)|Decod(?:e|ing)|Encod(?:e|ing)"
            r"|Integrity|Duplicate|Malformed|Schema|Truncat|BadRequest|DataError|Conversion"
            r"|Invalid(?:Data|Value|Document|Record|Format|File|BSON|Argument|Input|Type|Json|JSON"
            r"|Digest|Operation)|TooLarge|TooLong|TooBig|MaxPayload|SizeLimit|OutOf(?:Range|Bounds)"
            r"|Mismatch|Constraint|Corrupt|ConditionalCheck|Precondition|AlreadyExists"
            r"|(?:Record|Row|Key|Element)NotFound|NoSuch(?:Key|Record|Element)|Unserializable|Serializ"
            r"|(?:Type|Field|Value|Data|Index|Shape|Structure|Structur\w*)(?:Error|Exception)$"
        ),
    ),
    (
        ErrorType.TRANSIENT,
        re.compile(
            r"Timeout|TimedOut|TimeLimit|Throttl|RateLimit|TooManyRequests|TooManyConnections"
            r"|Unavailable|NotAvailable|Temporar|Transient|Deadlock|Disconnect|Retryable|Overload"
            r"|Connection(?:Error|Failure|Exception|Lost|Closed|Reset|Aborted|Refused|Shutdown|Dead)"
            r"|Connect(?:Error|Exception|ion)?Err|Connect(?:Error|Exception)|Busy|NotPrimary|Lost"
            r"|Broken(?:Pipe|Resource|Connection)|WouldBlock|(?:Request)?LimitExceeded"
            r"|ThroughputExceeded|Conflict|InProgress|Concurrent|SlowDown|InternalServer|Down$"
            r"|ServerError|ServiceError|RemoteProtocol|IncompleteRead|ServiceException|BadGateway"
            r"|Interrupted|Stale|QueueFull|BackPressure|Backpressure|RetryError|CursorNotFound"
            r"|NotLeader|Rebalance|Exhausted|CommitFailed"
        ),
    ),
)


def by_class_words(name: str) -> ErrorType | None:
    """The class that a type's unqualified name suggests, or None."""
    for error_type, words in _WORDS:
        if words.search(name):
            return error_type
    return None
