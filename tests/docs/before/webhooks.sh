headrace apply --wait -f examples/segments/vip.yaml
