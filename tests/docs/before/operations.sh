headrace apply --wait -f examples/segments/vip.yaml examples/segments/rfm-champions.yaml
send batch '{"batch": [{"type": "track", "userId": "u1", "messageId": "operations-1"}]}'
