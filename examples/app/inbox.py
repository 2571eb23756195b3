"""Print the notifications, and delete them from the queue.

python examples/app/inbox.py [SECONDS]      waits up to SECONDS for the first message; default 20
"""

import json
import sys

from setup import NAME, client


def main():
    sqs, wait = client("sqs"), int(sys.argv[1]) if len(sys.argv) > 1 else 20
    queue = sqs.get_queue_url(QueueName=f"{NAME}-inbox")["QueueUrl"]
    while found := sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait
    ).get("Messages"):
        for each in found:
            notification = json.loads(each["Body"])
            print(notification["Subject"])
            for name, text in json.loads(notification["Message"]).items():
                print(f"  {name}: {text}")
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=each["ReceiptHandle"])
        wait = 0


if __name__ == "__main__":
    main()
