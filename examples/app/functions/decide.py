"""End the task whose token is in the opened link. AWS_ENDPOINT_URL is set by stepwell."""

import botocore.exceptions
import botocore.session

PAGE = "<!doctype html><title>Invoices</title><p>{}</p>\n"


def handler(event, context):
    answer, token = (
        event["pathParameters"]["answer"],
        event.get("queryStringParameters", {}).get("token", ""),
    )
    states = botocore.session.get_session().create_client("stepfunctions")
    try:
        if answer == "approve":
            states.send_task_success(taskToken=token, output='{"approved": true}')
        elif answer == "refuse":
            states.send_task_failure(taskToken=token, error="Refused", cause="by a person")
        else:
            return page(404, "There is no such answer.")
    except (
        states.exceptions.InvalidToken,
        states.exceptions.TaskDoesNotExist,
        states.exceptions.TaskTimedOut,
    ):
        return page(410, "It has been decided already.")
    except botocore.exceptions.ParamValidationError:
        return page(400, "This link is not complete.")
    return page(200, f"Thank you: you chose to {answer}.")


def page(status, text):
    return {
        "statusCode": status,
        "headers": {"content-type": "text/html; charset=utf-8"},
        "body": PAGE.format(text),
    }
