"""Prints the task token for the person on call; a real function would send it as a link. Anyone who
has the token can answer.
"""

ANSWER = """{"approved": true, "by": "the person on call"}"""


def handler(event, context):
    print(
        f"To {event['person']}: {event['request']}? If you agree: stepwell task succeed "
        f"{event['token']} --output '{ANSWER}'"
    )
    return {"notified": event["person"]}
