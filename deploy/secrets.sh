#!/bin/sh
# Makes the secrets of deploy/compose.yaml, each a file in deploy/secrets (or the folder given): random, once, kept
# when it runs again. To change one, delete its file and start again; what Postgres, Valkey and Grafana have stored
# already, change there as well.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder" # the way in is closed to others; the files are open to the users of the containers
cd "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT: write it, unless it is there
keep() {
  if [ ! -s "$1" ]; then
    printf '%s\n' "$2" >"$1.new"
    chmod 444 "$1.new"
    mv "$1.new" "$1"
  fi
}

keep admin-token "$(random)"
keep write-key "$(random)"
keep survey-keys "1:$(random)"
keep grafana-password "$(random)"
keep postgres-password "$(random)"
keep database-url "postgresql://headrace:$(cat postgres-password)@postgres:5432/headrace"
keep state-password "$(random)"
keep rates-password "$(random)"
keep state-url "redis://headrace-state:$(cat state-password)@valkey:6379/0"
keep rates-url "redis://headrace-rates:$(cat rates-password)@valkey:6379/0"
# docs/settings.md has these users: the segmenter's, and the others', who only count requests
keep valkey-acl "user default on nopass resetkeys resetchannels -@all +ping
user headrace-state on >$(cat state-password) resetkeys ~headrace:segmenter:* ~*{rate}:* resetchannels -@all +auth +hello +ping +select +client|setinfo +client|setname +info +get +mget +set +type +del +unlink +hget +hmget +hset +hdel +hkeys +hlen +zadd +zrem +zcard +zrange +zrangebyscore +zrangebylex +zmscore +xadd +xrange +xtrim +xlen +scan +pexpire +time +multi +exec +eval +evalsha +script|load +script|exists
user headrace-rates on >$(cat rates-password) resetkeys ~*{rate}:* resetchannels -@all +auth +hello +ping +select +client|setinfo +client|setname +hmget +hset +pexpire +time +eval +evalsha +script|load"
