send identify '{"userId": "u1", "traits": {"email": "eva@example.com"}, "messageId": "segments-1"}'
profile u1
