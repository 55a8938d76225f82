"""The log on Apache Kafka (aiokafka)."""

from headrace.log.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
