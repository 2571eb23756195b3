"""Would send the task token to the person on call, in a link; here it is printed. Whoever has it
can answer.
"""

ANSWER = """{"approved": true, "by": "the person on call"}"""


def handler(event, context):
    print(
        f"To {event['person']}: {event['request']}? If you agree: stepwell task succeed "
        f"{event['token']} --output '{ANSWER}'"
    )
    return {"notified": event["person"]}
