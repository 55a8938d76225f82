"""What providers call with, read: receipts of messages and messages from customers. Pure."""
