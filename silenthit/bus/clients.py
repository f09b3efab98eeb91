"""The Kafka clients of every zone: `Publisher` writes, `TopicReader` reads.

with Publisher(settings, client_id="agency") as publisher:
    publisher.send("touches", key, value).result()
"""

from silenthit.bus.connection import Delivered, Message
from silenthit.bus.publisher import Publisher
from silenthit.bus.reader import TopicReader
from silenthit.bus.settings import KafkaSettings

__all__ = ["Delivered", "KafkaSettings", "Message", "Publisher", "TopicReader"]
