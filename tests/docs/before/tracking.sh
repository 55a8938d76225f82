send identify '{"userId": "u1", "messageId": "tracking-1"}'
profile u1
