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
keep valkey-password "$(random)"
keep redis-url "redis://headrace:$(cat valkey-password)@valkey:6379"
keep valkey-users "user default on nopass resetkeys resetchannels -@all +ping
user headrace on >$(cat valkey-password) allkeys resetchannels -@all +@read +@write +@connection +@transaction +@scripting -@admin -@dangerous +info"
