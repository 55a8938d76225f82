headrace apply --wait -f examples/segments/vip.yaml
send identify '{"userId": "u1", "messageId": "verify-1"}'
profile u1
