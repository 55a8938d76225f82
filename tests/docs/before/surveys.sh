send identify '{"userId": "u-surveys", "traits": {"email": "surveys@example.com"}, "messageId": "surveys-1"}'
profile u-surveys
