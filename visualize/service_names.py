"""Display names of services, by their name in a Task's Resource: cloudformation -> CloudFormation.

Source: the service ids of botocore's models, some as the service's own pages write them. Left out
are names that follow the rule: up to three letters are an abbreviation (SQS), others begin with a
capital (Athena).
"""

import re
from typing import Final

_WRITTEN: Final = """
ACM PCA; AIOps; API Gateway; API Gateway Management API; API Gateway V2; APIPortal; ARC Region switch; ARC Zonal
Shift; Abuse Signal; Access Analyzer; Account Access; Account Access Runtime; Agent Discovery; Agent Registry; Agent
Registry Control; AmplifyBackend; AmplifyUIBuilder; App Mesh; AppConfig; AppConfigData; AppFabric; AppFlow;
AppIntegrations; AppRunner; AppStream; AppSync; Application Auto Scaling; Application Insights; Application Signals;
ApplicationCostProfiler; Audit Manager; Auto Scaling; Auto Scaling Plans; BCM Dashboards; BCM Data Exports; BCM
Pricing Calculator; BCM Recommended Actions; Backup Gateway; BackupSearch; Bedrock Agent; Bedrock Agent Runtime;
Bedrock AgentCore; Bedrock AgentCore Control; Bedrock Data Automation; Bedrock Data Automation Runtime; Bedrock
Runtime; Billing Conductor; Chime SDK Identity; Chime SDK Media Pipelines; Chime SDK Meetings; Chime SDK Messaging;
Chime SDK Voice; CleanRooms; CleanRoomsML; CloudControl; CloudDirectory; CloudFormation; CloudFront; CloudFront
KeyValueStore; CloudHSM; CloudHSM V2; CloudSearch; CloudSearch Domain; CloudTrail; CloudTrail Data; CloudWatch;
CloudWatch Logs; CloudWatchOmni; CodeArtifact; CodeBuild; CodeCatalyst; CodeCommit; CodeConnections; CodeDeploy;
CodeGuru Reviewer; CodeGuru Security; CodeGuruProfiler; CodePipeline; CodeStar Connections; CodeStar Notifications;
Cognito Identity; Cognito Identity Provider; Cognito Sync; Comprehend Medical; Compute Optimizer; Compute Optimizer
Automation; Connect Contact Lens; ConnectCampaigns; ConnectCampaignsV2; ConnectCases; ConnectHealth;
ConnectParticipant; ConnectScheduling; Control Tower; ControlCatalog; Cost Explorer; Cost Optimization Hub; Cost and
Usage Report Service; Customer Profiles; DSQL; Data Exchange; Data Pipeline; DataBrew; DataSync; DataZone; DevOps
Agent; DevOps Guru; Device Farm; Direct Connect; Directory Service; Directory Service Data; DocDB; DocDB Elastic;
DynamoDB; DynamoDB Streams; EC2 Instance Connect; ECR Public; EKS Auth; EMR Serverless; ElastiCache; Elastic
Beanstalk; Elastic Load Balancing; Elastic Load Balancing V2; Elasticsearch Service; ElementalInference;
EndUserMessaging; EntityResolution; EventBridge; EventBridgeV2; FSx; Forecast Query; Fraud Detector; FreeTier;
GameLift; GameLiftStreams; Geo Maps; Geo Places; Geo Routes; Global Accelerator; GreengrassV2; Ground Station;
GuardDuty; HealthLake; IAM Toolbox; IVS Chat; IVS RealTime; Identity Store; Image Builder; ImportExport; Inspector
Scan; InternetMonitor; IoT; IoT Data Plane; IoT Device Advisor; IoT Jobs Data Plane; IoT Managed Integrations; IoT
Wireless; IoTFleetWise; IoTSecureTunneling; IoTSiteWise; IoTThingsGraph; IoTTwinMaker; Kendra Ranking;
KeyspacesStreams; Kinesis Analytics; Kinesis Analytics V2; Kinesis Video; Kinesis Video Archived Media; Kinesis
Video Media; Kinesis Video Signaling; Kinesis Video WebRTC Storage; Lake Formation; Lambda Core; Lambda Microvms;
Lambda Web; Launch Wizard; Lex Models V2; Lex Runtime V2; License Manager; License Manager Linux Subscriptions;
License Manager User Subscriptions; LookoutEquipment; MTurk; MWAA; MWAA Serverless; Machine Learning; MailManager;
ManagedBlockchain; ManagedBlockchain Query; Marketplace Agreement; Marketplace Catalog; Marketplace Commerce
Analytics; Marketplace Deployment; Marketplace Discovery; Marketplace Entitlement Service; Marketplace Metering;
Marketplace Reporting; MediaConnect; MediaConvert; MediaLive; MediaPackage; MediaPackage Vod; MediaPackageV2;
MediaStore; MediaStore Data; MediaTailor; Medical Imaging; MemoryDB; Migration Hub; Migration Hub Refactor Spaces;
MigrationHub Config; MigrationHubOrchestrator; MigrationHubStrategy; Neptune Data; Neptune Graph; Network Firewall;
Network Manager; Network Security Manager; NetworkFlowMonitor; NetworkMonitor; NotificationsContacts; Nova Act;
OSIS; ObservabilityAdmin; OpenSearch; OpenSearch Serverless; OpenSearchMemory; PartnerCentral Account;
PartnerCentral Benefits; PartnerCentral Channel; PartnerCentral Marketing; PartnerCentral Revenue Measurement;
PartnerCentral Selling; Payment Cryptography; Payment Cryptography Data; Personalize Events; Personalize Runtime;
Pinpoint Email; Pinpoint SMS Voice; Pinpoint SMS Voice V2; Pricing Plan Manager; QApps; QBusiness; QConnect;
QuickSight; RDS Data; RTBFabric; Redshift Data; Redshift Serverless; Resilience Hub; Resource Explorer 2; Resource
Groups; Resource Groups Tagging API; Roles Anywhere; Route 53; Route 53 Domains; Route53 Recovery Cluster; Route53
Recovery Control Config; Route53 Recovery Readiness; Route53GlobalResolver; Route53Profiles; Route53Resolver; S3
Control; S3Files; S3Outposts; S3Tables; S3Vectors; SESv2; SSM Contacts; SSM GuiConnect; SSM Incidents; SSM
QuickSetup; SSO Admin; SSO OIDC; SageMaker; SageMaker A2I Runtime; SageMaker Edge; SageMaker FeatureStore Runtime;
SageMaker Gateway Runtime; SageMaker Geospatial; SageMaker Inference Router Runtime; SageMaker Metrics; SageMaker
Runtime; SageMakerTrainingSessionRuntime; SagemakerJobRuntime; Savings Plans; Secrets Manager; Security Hub;
Security IR; Security Lake; SecurityAgent; ServerlessApplicationRepository; Service Catalog; Service Catalog
AppRegistry; Service Quotas; Signer Data; SimpleDB; SimpleDBv2; Snow Device Management; SocialMessaging; Storage
Gateway; SupplyChain; Support App; SupportAuthZ; TaxSettings; Timestream InfluxDB; Timestream Query; Timestream
Write; TrustedAdvisor; VPC Lattice; Verified Permissions; Voice ID; WAF Regional; WAFV2; Well-Architected; WorkDocs;
WorkMail; WorkMailMessageFlow; WorkSpaces; WorkSpaces Instances; WorkSpaces Thin Client; WorkSpaces Web; X-Ray; amp;
b2bi; chatbot; deadline; drs; evs; fis; forecast; grafana; ivs; kendra; m2; mgn; mq; odb; rbin; repostspace;
resiliencehubv2; schemas; signer; synthetics; uxc
"""
# names that differ from the name in a Resource
_OTHERS: Final = {
    "applicationdiscoveryservice": "Application Discovery",
    "configservice": "Config",
    "databasemigrationservice": "Database Migration",
    "elasticmapreduce": "EMR",
    "emrcontainers": "EMR on EKS",
    "events": "EventBridge",
    "http": "HTTP",
    "kafka": "MSK",
    "kafkaconnect": "MSK Connect",
    "lexmodelbuildingservice": "Lex Model Building",
    "lexruntimeservice": "Lex Runtime",
    "pcaconnectorad": "PCA Connector for AD",
    "pcaconnectorscep": "PCA Connector for SCEP",
    "servicediscovery": "Cloud Map",
    "sfn": "Step Functions",
    "ssmsap": "SSM for SAP",
    "states": "Step Functions",
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


NAMES: Final = {_plain(name): name for name in " ".join(_WRITTEN.split()).split("; ")} | _OTHERS


def service_name(service: str) -> str:
    """The display name. service: as in a Resource, "dynamodb", "aws-sdk:autoscaling",
    "emr-serverless".
    """
    plain = _plain(service.removeprefix("aws-sdk:"))
    return NAMES.get(plain) or (plain.upper() if len(plain) <= 3 else plain.capitalize())


def letters(service: str) -> str:
    """Two letters for a service: the first capitals of its name, or its first letters."""
    name = service_name(service)
    capitals = re.sub(r"[^A-Z0-9]", "", name)
    return (capitals if len(capitals) > 1 else name.upper())[:2]
