"""The results of operations: the output shapes of the API, with boto3's names of members.

Times are epoch seconds, payloads and definitions are JSON text. A test compares all of them with
the service model of botocore.
"""

from typing import Any, NotRequired, TypeAlias, TypedDict

from stepwell.engine.search.values import Scalar


class EmptyOutput(TypedDict):
    """Of an operation that only does something: DeleteStateMachine, TagResource ..."""


class CreateActivityOutput(TypedDict):
    activityArn: str
    creationDate: float


class CreateStateMachineOutput(TypedDict):
    stateMachineArn: str
    creationDate: float
    stateMachineVersionArn: NotRequired[str]


class CreateStateMachineAliasOutput(TypedDict):
    stateMachineAliasArn: str
    creationDate: float


class EncryptionConfiguration(TypedDict):
    kmsKeyId: NotRequired[str]
    kmsDataKeyReusePeriodSeconds: NotRequired[int]
    type: str


class DescribeActivityOutput(TypedDict):
    activityArn: str
    name: str
    creationDate: float
    encryptionConfiguration: NotRequired[EncryptionConfiguration]


class DataDetails(TypedDict):
    """Whether input or output are included."""

    included: NotRequired[bool]


class DescribeExecutionOutput(TypedDict):
    executionArn: str
    stateMachineArn: str
    name: NotRequired[str]
    status: str
    startDate: float
    stopDate: NotRequired[float]
    input: NotRequired[str]
    inputDetails: NotRequired[DataDetails]
    output: NotRequired[str]
    outputDetails: NotRequired[DataDetails]
    traceHeader: NotRequired[str]
    mapRunArn: NotRequired[str]
    error: NotRequired[str]
    cause: NotRequired[str]
    stateMachineVersionArn: NotRequired[str]
    stateMachineAliasArn: NotRequired[str]
    redriveCount: NotRequired[int]
    redriveDate: NotRequired[float]
    redriveStatus: NotRequired[str]
    redriveStatusReason: NotRequired[str]


class MapRunItemCounts(TypedDict):
    pending: int
    running: int
    succeeded: int
    failed: int
    timedOut: int
    aborted: int
    total: int
    resultsWritten: int
    failuresNotRedrivable: NotRequired[int]
    pendingRedrive: NotRequired[int]


class MapRunExecutionCounts(TypedDict):
    pending: int
    running: int
    succeeded: int
    failed: int
    timedOut: int
    aborted: int
    total: int
    resultsWritten: int
    failuresNotRedrivable: NotRequired[int]
    pendingRedrive: NotRequired[int]


class DescribeMapRunOutput(TypedDict):
    mapRunArn: str
    executionArn: str
    status: str
    startDate: float
    stopDate: NotRequired[float]
    maxConcurrency: int
    toleratedFailurePercentage: float
    toleratedFailureCount: int
    itemCounts: MapRunItemCounts
    executionCounts: MapRunExecutionCounts
    redriveCount: NotRequired[int]
    redriveDate: NotRequired[float]


class CloudWatchLogsLogGroup(TypedDict):
    logGroupArn: NotRequired[str]


class LogDestination(TypedDict):
    cloudWatchLogsLogGroup: NotRequired[CloudWatchLogsLogGroup]


class LoggingConfiguration(TypedDict):
    level: NotRequired[str]
    includeExecutionData: NotRequired[bool]
    destinations: NotRequired[list[LogDestination]]


class TracingConfiguration(TypedDict):
    enabled: NotRequired[bool]


class DescribeStateMachineOutput(TypedDict):
    """extras, which is not of the API: the JSON that the library's user keeps with the machine."""

    extras: NotRequired[dict[str, Any]]
    stateMachineArn: str
    name: str
    status: NotRequired[str]
    definition: str
    roleArn: str
    type: str
    creationDate: float
    loggingConfiguration: NotRequired[LoggingConfiguration]
    tracingConfiguration: NotRequired[TracingConfiguration]
    label: NotRequired[str]
    revisionId: NotRequired[str]
    description: NotRequired[str]
    encryptionConfiguration: NotRequired[EncryptionConfiguration]
    variableReferences: NotRequired[dict[str, list[str]]]


class RoutingConfigurationListItem(TypedDict):
    stateMachineVersionArn: str
    weight: int


class DescribeStateMachineAliasOutput(TypedDict):
    stateMachineAliasArn: NotRequired[str]
    name: NotRequired[str]
    description: NotRequired[str]
    routingConfiguration: NotRequired[list[RoutingConfigurationListItem]]
    creationDate: NotRequired[float]
    updateDate: NotRequired[float]


class DescribeStateMachineForExecutionOutput(TypedDict):
    stateMachineArn: str
    name: str
    definition: str
    roleArn: str
    updateDate: float
    loggingConfiguration: NotRequired[LoggingConfiguration]
    tracingConfiguration: NotRequired[TracingConfiguration]
    mapRunArn: NotRequired[str]
    label: NotRequired[str]
    revisionId: NotRequired[str]
    encryptionConfiguration: NotRequired[EncryptionConfiguration]
    variableReferences: NotRequired[dict[str, list[str]]]


class GetActivityTaskOutput(TypedDict):
    taskToken: NotRequired[str]
    input: NotRequired[str]


Details: TypeAlias = dict[str, Any]
"""The details of a history event: their members depend on its type."""


class HistoryEvent(TypedDict):
    """An event of GetExecutionHistory. Of the members with details it has at most one."""

    timestamp: float
    type: str
    id: int
    previousEventId: NotRequired[int]
    activityFailedEventDetails: NotRequired[Details]
    activityScheduleFailedEventDetails: NotRequired[Details]
    activityScheduledEventDetails: NotRequired[Details]
    activityStartedEventDetails: NotRequired[Details]
    activitySucceededEventDetails: NotRequired[Details]
    activityTimedOutEventDetails: NotRequired[Details]
    taskFailedEventDetails: NotRequired[Details]
    taskScheduledEventDetails: NotRequired[Details]
    taskStartFailedEventDetails: NotRequired[Details]
    taskStartedEventDetails: NotRequired[Details]
    taskSubmitFailedEventDetails: NotRequired[Details]
    taskSubmittedEventDetails: NotRequired[Details]
    taskSucceededEventDetails: NotRequired[Details]
    taskTimedOutEventDetails: NotRequired[Details]
    executionFailedEventDetails: NotRequired[Details]
    executionStartedEventDetails: NotRequired[Details]
    executionSucceededEventDetails: NotRequired[Details]
    executionAbortedEventDetails: NotRequired[Details]
    executionTimedOutEventDetails: NotRequired[Details]
    executionRedrivenEventDetails: NotRequired[Details]
    mapStateStartedEventDetails: NotRequired[Details]
    mapIterationStartedEventDetails: NotRequired[Details]
    mapIterationSucceededEventDetails: NotRequired[Details]
    mapIterationFailedEventDetails: NotRequired[Details]
    mapIterationAbortedEventDetails: NotRequired[Details]
    lambdaFunctionFailedEventDetails: NotRequired[Details]
    lambdaFunctionScheduleFailedEventDetails: NotRequired[Details]
    lambdaFunctionScheduledEventDetails: NotRequired[Details]
    lambdaFunctionStartFailedEventDetails: NotRequired[Details]
    lambdaFunctionSucceededEventDetails: NotRequired[Details]
    lambdaFunctionTimedOutEventDetails: NotRequired[Details]
    stateEnteredEventDetails: NotRequired[Details]
    stateExitedEventDetails: NotRequired[Details]
    mapRunStartedEventDetails: NotRequired[Details]
    mapRunFailedEventDetails: NotRequired[Details]
    mapRunRedrivenEventDetails: NotRequired[Details]
    evaluationFailedEventDetails: NotRequired[Details]


class GetExecutionHistoryOutput(TypedDict):
    events: list[HistoryEvent]
    nextToken: NotRequired[str]


class ActivityListItem(TypedDict):
    activityArn: str
    name: str
    creationDate: float


class ListActivitiesOutput(TypedDict):
    activities: list[ActivityListItem]
    nextToken: NotRequired[str]


class ExecutionListItem(TypedDict):
    executionArn: str
    stateMachineArn: str
    name: str
    status: str
    startDate: float
    stopDate: NotRequired[float]
    mapRunArn: NotRequired[str]
    itemCount: NotRequired[int]
    stateMachineVersionArn: NotRequired[str]
    stateMachineAliasArn: NotRequired[str]
    redriveCount: NotRequired[int]
    redriveDate: NotRequired[float]


class ListExecutionsOutput(TypedDict):
    executions: list[ExecutionListItem]
    nextToken: NotRequired[str]


class FoundExecution(ExecutionListItem):
    """An item of ListExecutions, with the values of the attributes that were asked for."""

    searchAttributes: NotRequired[dict[str, list[Scalar]]]


class PartialAttribute(TypedDict):
    """An attribute that finds only a part of the executions of a state machine.

    change  CHANGED: those that started since then, and others by another path, or not at all.
            REMOVED: those that started before
    """

    stateMachineArn: str
    name: str
    since: float
    change: str


class SearchExecutionsOutput(TypedDict):
    executions: list[FoundExecution]
    nextToken: NotRequired[str]
    partialAttributes: NotRequired[list[PartialAttribute]]
    unknownAttributes: NotRequired[list[str]]


class ParkedExecution(TypedDict):
    executionArn: str
    reason: str


class ListParkedExecutionsOutput(TypedDict):
    executions: list[ParkedExecution]


class ExecutionIndexOutput(TypedDict):
    """status: INDEXING, PARTIAL (some attributes find later executions only) or COMPLETE."""

    stateMachineArn: str
    status: str
    attributes: list[str]
    partialAttributes: list[PartialAttribute]
    executionsIndexed: int
    startDate: NotRequired[float]


class MapRunListItem(TypedDict):
    executionArn: str
    mapRunArn: str
    stateMachineArn: str
    startDate: float
    stopDate: NotRequired[float]


class ListMapRunsOutput(TypedDict):
    mapRuns: list[MapRunListItem]
    nextToken: NotRequired[str]


class StateMachineAliasListItem(TypedDict):
    stateMachineAliasArn: str
    creationDate: float


class ListStateMachineAliasesOutput(TypedDict):
    stateMachineAliases: list[StateMachineAliasListItem]
    nextToken: NotRequired[str]


class StateMachineVersionListItem(TypedDict):
    stateMachineVersionArn: str
    creationDate: float


class ListStateMachineVersionsOutput(TypedDict):
    stateMachineVersions: list[StateMachineVersionListItem]
    nextToken: NotRequired[str]


class StateMachineListItem(TypedDict):
    stateMachineArn: str
    name: str
    type: str
    creationDate: float


class ListStateMachinesOutput(TypedDict):
    stateMachines: list[StateMachineListItem]
    nextToken: NotRequired[str]


class Tag(TypedDict):
    key: NotRequired[str]
    value: NotRequired[str]


class ListTagsForResourceOutput(TypedDict):
    tags: NotRequired[list[Tag]]


class PublishStateMachineVersionOutput(TypedDict):
    creationDate: float
    stateMachineVersionArn: str


class RedriveExecutionOutput(TypedDict):
    redriveDate: float


class StartExecutionOutput(TypedDict):
    executionArn: str
    startDate: float


class BillingDetails(TypedDict):
    billedMemoryUsedInMB: NotRequired[int]
    billedDurationInMilliseconds: NotRequired[int]


class StartSyncExecutionOutput(TypedDict):
    executionArn: str
    stateMachineArn: NotRequired[str]
    name: NotRequired[str]
    startDate: float
    stopDate: float
    status: str
    error: NotRequired[str]
    cause: NotRequired[str]
    input: NotRequired[str]
    inputDetails: NotRequired[DataDetails]
    output: NotRequired[str]
    outputDetails: NotRequired[DataDetails]
    traceHeader: NotRequired[str]
    billingDetails: NotRequired[BillingDetails]


class FiredTimer(TypedDict):
    stateName: str
    enteredEventId: int
    dueDate: float


class FireTimerOutput(TypedDict):
    fired: list[FiredTimer]


class AdvanceTimeOutput(TypedDict):
    now: float


class StopExecutionOutput(TypedDict):
    stopDate: float


class InspectionDataRequest(TypedDict):
    protocol: NotRequired[str]
    method: NotRequired[str]
    url: NotRequired[str]
    headers: NotRequired[str]
    body: NotRequired[str]


class InspectionDataResponse(TypedDict):
    protocol: NotRequired[str]
    statusCode: NotRequired[str]
    statusMessage: NotRequired[str]
    headers: NotRequired[str]
    body: NotRequired[str]


class InspectionErrorDetails(TypedDict):
    catchIndex: NotRequired[int]
    retryIndex: NotRequired[int]
    retryBackoffIntervalSeconds: NotRequired[int]


class InspectionData(TypedDict):
    input: NotRequired[str]
    afterArguments: NotRequired[str]
    afterInputPath: NotRequired[str]
    afterParameters: NotRequired[str]
    result: NotRequired[str]
    afterResultSelector: NotRequired[str]
    afterResultPath: NotRequired[str]
    request: NotRequired[InspectionDataRequest]
    response: NotRequired[InspectionDataResponse]
    variables: NotRequired[str]
    errorDetails: NotRequired[InspectionErrorDetails]
    afterItemsPath: NotRequired[str]
    afterItemSelector: NotRequired[str]
    afterItemBatcher: NotRequired[str]
    afterItemsPointer: NotRequired[str]
    toleratedFailureCount: NotRequired[int]
    toleratedFailurePercentage: NotRequired[float]
    maxConcurrency: NotRequired[int]


class TestStateOutput(TypedDict):
    output: NotRequired[str]
    error: NotRequired[str]
    cause: NotRequired[str]
    inspectionData: NotRequired[InspectionData]
    nextState: NotRequired[str]
    status: NotRequired[str]


class UpdateStateMachineOutput(TypedDict):
    updateDate: float
    revisionId: NotRequired[str]
    stateMachineVersionArn: NotRequired[str]


class UpdateStateMachineAliasOutput(TypedDict):
    updateDate: float


class ValidateStateMachineDefinitionDiagnostic(TypedDict):
    severity: str
    code: str
    message: str
    location: NotRequired[str]


class ValidateStateMachineDefinitionOutput(TypedDict):
    result: str
    diagnostics: list[ValidateStateMachineDefinitionDiagnostic]
    truncated: NotRequired[bool]
