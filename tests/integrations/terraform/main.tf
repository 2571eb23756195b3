# Every resource type of the services that the server implements, each with a change of `changed`.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "url" { type = string }
variable "code" { type = string }
variable "changed" {
  type    = bool
  default = false
}

locals {
  role    = "arn:aws:iam::123456789012:role/any"
  seconds = var.changed ? 20 : 10
  tags    = { stage = var.changed ? "new" : "old" }
  queues  = "arn:aws:sqs:us-east-1:123456789012"
  allow = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = var.changed ? "new" : "old"
      Effect    = "Allow"
      Principal = "*"
      Action    = "sqs:SendMessage"
      Resource  = "*"
    }]
  })
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true

  endpoints {
    apigatewayv2 = var.url
    events       = var.url
    iot          = var.url
    lambda       = var.url
    scheduler    = var.url
    sfn          = var.url
    sns          = var.url
    sqs          = var.url
  }
}

# --- Step Functions ---

resource "aws_sfn_state_machine" "machine" {
  name     = "machine"
  role_arn = local.role
  publish  = true
  tags     = local.tags
  definition = jsonencode({
    StartAt = "Wait"
    States  = { Wait = { Type = "Wait", Seconds = local.seconds, End = true } }
  })
}

resource "aws_sfn_state_machine" "express" {
  name       = "express"
  role_arn   = local.role
  type       = "EXPRESS"
  definition = jsonencode({ StartAt = "P", States = { P = { Type = "Pass", Result = local.seconds, End = true } } })

  logging_configuration {
    log_destination        = "arn:aws:logs:us-east-1:123456789012:log-group:/express:*"
    include_execution_data = var.changed
    level                  = var.changed ? "ALL" : "ERROR"
  }
}

resource "aws_sfn_alias" "live" {
  name        = "live"
  description = var.changed ? "new" : "old"

  routing_configuration {
    state_machine_version_arn = aws_sfn_state_machine.machine.state_machine_version_arn
    weight                    = 100
  }
}

resource "aws_sfn_activity" "activity" {
  name = "activity"
  tags = local.tags
}

# --- Lambda ---

resource "aws_lambda_function" "function" {
  function_name    = "function"
  role             = local.role
  runtime          = "python3.12"
  handler          = "index.handler"
  filename         = var.code
  source_code_hash = filebase64sha256(var.code)
  timeout          = local.seconds
  publish          = true
  tags             = local.tags

  environment {
    variables = { SECONDS = tostring(local.seconds) }
  }

  dead_letter_config {
    target_arn = aws_sqs_queue.dead.arn
  }
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = var.changed ? "new" : "old"
  function_name    = aws_lambda_function.function.function_name
  function_version = aws_lambda_function.function.version
}

resource "aws_lambda_permission" "rule" {
  statement_id  = var.changed ? "new" : "old"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.pattern.arn
}

resource "aws_lambda_function_event_invoke_config" "again" {
  function_name                = aws_lambda_function.function.function_name
  maximum_event_age_in_seconds = var.changed ? 120 : 60
  maximum_retry_attempts       = 1

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead.arn
    }
  }
}

resource "aws_lambda_event_source_mapping" "mapping" {
  event_source_arn = aws_sqs_queue.queue.arn
  function_name    = aws_lambda_function.function.arn
  batch_size       = var.changed ? 5 : 10
  tags             = local.tags

  filter_criteria {
    filter {
      pattern = jsonencode({ body = { kind = ["order"] } })
    }
  }
}

resource "aws_lambda_invocation" "once" {
  function_name = aws_lambda_function.function.function_name
  input         = jsonencode({ seconds = local.seconds })
}

# --- SQS (the provider waits 25 s after each change of an attribute: what others depend on stays) ---

resource "aws_sqs_queue" "queue" {
  name                       = "queue"
  visibility_timeout_seconds = 120
  tags                       = local.tags
}

resource "aws_sqs_queue" "dead" {
  name                      = "dead"
  message_retention_seconds = 3600
}

resource "aws_sqs_queue" "fifo" {
  name                        = "ordered.fifo"
  fifo_queue                  = true
  content_based_deduplication = var.changed
}

resource "aws_sqs_queue_policy" "policy" {
  queue_url = aws_sqs_queue.queue.id
  policy    = local.allow
}

resource "aws_sqs_queue_redrive_policy" "redrive" {
  queue_url = aws_sqs_queue.queue.id
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.changed ? 4 : 3
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "redrive" {
  queue_url = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = var.changed ? ["${local.queues}:queue", "${local.queues}:other"] : ["${local.queues}:queue"]
  })
}

# --- SNS ---

resource "aws_sns_topic" "topic" {
  name         = "topic"
  display_name = var.changed ? "New" : "Old"
  tags         = local.tags
}

resource "aws_sns_topic" "fifo" {
  name                        = "ordered.fifo"
  fifo_topic                  = true
  content_based_deduplication = var.changed
}

resource "aws_sns_topic_policy" "policy" {
  arn = aws_sns_topic.topic.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = var.changed ? "new" : "old"
      Effect    = "Allow"
      Principal = "*"
      Action    = "SNS:Publish"
      Resource  = aws_sns_topic.topic.arn
    }]
  })
}

resource "aws_sns_topic_data_protection_policy" "policy" {
  arn = aws_sns_topic.topic.arn
  policy = jsonencode({
    Name        = "p"
    Description = var.changed ? "new" : "old"
    Version     = "2021-06-01"
    Statement = [{
      Sid            = "s"
      DataDirection  = "Inbound"
      Principal      = ["*"]
      DataIdentifier = ["arn:aws:dataprotection::aws:data-identifier/EmailAddress"]
      Operation      = { Deny = {} }
    }]
  })
}

resource "aws_sns_topic_subscription" "queue" {
  topic_arn            = aws_sns_topic.topic.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.queue.arn
  raw_message_delivery = var.changed
  filter_policy        = jsonencode({ kind = [var.changed ? "new" : "old"] })
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn })
}

resource "aws_sns_platform_application" "phones" {
  name                         = "phones"
  platform                     = "GCM"
  platform_credential          = "key"
  success_feedback_sample_rate = var.changed ? 20 : 10
}

resource "aws_sns_sms_preferences" "texts" {
  default_sms_type = var.changed ? "Transactional" : "Promotional"
}

# --- EventBridge ---

resource "aws_cloudwatch_event_bus" "bus" {
  name        = "orders"
  description = var.changed ? "new" : "old"
  tags        = local.tags
}

resource "aws_cloudwatch_event_bus" "other" {
  name = "other"
}

resource "aws_cloudwatch_event_bus_policy" "policy" {
  event_bus_name = aws_cloudwatch_event_bus.bus.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = var.changed ? "new" : "old"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111111111111:root" }
      Action    = "events:PutEvents"
      Resource  = aws_cloudwatch_event_bus.bus.arn
    }]
  })
}

resource "aws_cloudwatch_event_permission" "permission" {
  event_bus_name = aws_cloudwatch_event_bus.other.name
  principal      = var.changed ? "111111111111" : "222222222222"
  statement_id   = "s"
}

resource "aws_cloudwatch_event_rule" "pattern" {
  name           = "pattern"
  event_bus_name = aws_cloudwatch_event_bus.bus.name
  event_pattern  = jsonencode({ source = [var.changed ? "new" : "old"] })
  state          = var.changed ? "DISABLED" : "ENABLED"
  tags           = local.tags
}

resource "aws_cloudwatch_event_rule" "schedule" {
  name                = "schedule"
  schedule_expression = var.changed ? "cron(0 9 ? * MON-FRI *)" : "rate(5 minutes)"
}

resource "aws_cloudwatch_event_target" "machine" {
  rule           = aws_cloudwatch_event_rule.pattern.name
  event_bus_name = aws_cloudwatch_event_bus.bus.name
  arn            = aws_sfn_state_machine.machine.arn
  role_arn       = local.role

  input_transformer {
    input_paths    = { id = "$.detail.id" }
    input_template = var.changed ? "{\"new\": <id>}" : "{\"old\": <id>}"
  }

  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 3
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}

resource "aws_cloudwatch_event_target" "destination" {
  rule     = aws_cloudwatch_event_rule.schedule.name
  arn      = aws_cloudwatch_event_api_destination.destination.arn
  role_arn = local.role
  input    = jsonencode({ changed = var.changed })
}

resource "aws_cloudwatch_event_archive" "archive" {
  name             = "kept"
  event_source_arn = aws_cloudwatch_event_bus.bus.arn
  retention_days   = local.seconds
  event_pattern    = jsonencode({ source = ["shop"] })
}

resource "aws_cloudwatch_event_connection" "connection" {
  name               = "partner"
  authorization_type = "API_KEY"
  description        = var.changed ? "new" : "old"

  auth_parameters {
    api_key {
      key   = "X-Key"
      value = "hush"
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "destination" {
  name                             = "partner"
  invocation_endpoint              = "https://127.0.0.1:9/orders"
  http_method                      = var.changed ? "PUT" : "POST"
  invocation_rate_limit_per_second = local.seconds
  connection_arn                   = aws_cloudwatch_event_connection.connection.arn
}

# --- Scheduler ---

resource "aws_scheduler_schedule_group" "group" {
  name = "group"
  tags = local.tags
}

resource "aws_scheduler_schedule" "schedule" {
  name                         = "schedule"
  group_name                   = aws_scheduler_schedule_group.group.name
  schedule_expression          = var.changed ? "rate(2 hours)" : "rate(1 hour)"
  schedule_expression_timezone = "Europe/Berlin"
  start_date                   = "2099-01-01T00:00:00Z"

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = local.seconds
  }

  target {
    arn      = aws_sfn_state_machine.machine.arn
    role_arn = local.role
    input    = jsonencode({ changed = var.changed })

    retry_policy {
      maximum_event_age_in_seconds = 120
      maximum_retry_attempts       = 2
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead.arn
    }
  }
}

# --- API Gateway: HTTP APIs ---

resource "aws_apigatewayv2_api" "api" {
  name          = "api"
  protocol_type = "HTTP"
  description   = var.changed ? "new" : "old"
  tags          = local.tags

  cors_configuration {
    allow_origins = ["https://example.com"]
    allow_methods = ["GET", "POST"]
    max_age       = local.seconds
  }
}

resource "aws_apigatewayv2_integration" "start" {
  api_id                 = aws_apigatewayv2_api.api.id
  integration_type       = "AWS_PROXY"
  integration_subtype    = "StepFunctions-StartExecution"
  credentials_arn        = local.role
  payload_format_version = "1.0"
  timeout_milliseconds   = local.seconds * 1000
  request_parameters = {
    StateMachineArn = aws_sfn_state_machine.machine.arn
    Input           = "$request.body"
  }
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.api.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.function.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "orders" {
  api_id    = aws_apigatewayv2_api.api.id
  route_key = var.changed ? "PUT /orders" : "POST /orders"
  target    = "integrations/${aws_apigatewayv2_integration.start.id}"
}

resource "aws_apigatewayv2_route" "rest" {
  api_id    = aws_apigatewayv2_api.api.id
  route_key = "$default"
  target    = "integrations/${aws_apigatewayv2_integration.function.id}"
}

resource "aws_apigatewayv2_deployment" "deployment" {
  api_id      = aws_apigatewayv2_api.api.id
  description = "first"
  depends_on  = [aws_apigatewayv2_route.orders, aws_apigatewayv2_route.rest]

  lifecycle { create_before_destroy = true }
}

resource "aws_apigatewayv2_stage" "stage" {
  api_id          = aws_apigatewayv2_api.api.id
  name            = "live"
  deployment_id   = aws_apigatewayv2_deployment.deployment.id
  stage_variables = { stage = var.changed ? "new" : "old" }
  tags            = local.tags
}

# --- IoT ---

resource "aws_iot_topic_rule" "rule" {
  name        = "rule"
  enabled     = !var.changed
  sql         = "SELECT * FROM 'orders/+' WHERE total > ${local.seconds}"
  sql_version = "2016-03-23"
  tags        = local.tags

  step_functions {
    role_arn           = local.role
    state_machine_name = aws_sfn_state_machine.machine.name
  }

  error_action {
    sqs {
      queue_url  = aws_sqs_queue.dead.id
      role_arn   = local.role
      use_base64 = false
    }
  }
}
