send identify '{"userId": "u-privacy", "traits": {"email": "privacy@example.com"}, "messageId": "privacy-1"}'
profile u-privacy
