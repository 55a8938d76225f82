"""A real Apache Kafka for tests: its jars from Maven, brokers as child processes, one or a cluster of them."""
