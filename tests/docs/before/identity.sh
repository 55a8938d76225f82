send identify '{"userId": "u3", "anonymousId": "tablet", "messageId": "identity-1"}'
send page '{"anonymousId": "tablet", "name": "Home", "messageId": "identity-2"}'
profile u3
