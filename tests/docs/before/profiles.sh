send identify '{"userId": "u5", "traits": {"email": "jana@example.com"}, "messageId": "profiles-1"}'
profile u5
