# What every page's preparation may use. `profile USER_ID` tells the page the customer's id, as an answer would.
send() { curl --output /dev/null -u "$HEADRACE_WRITE_KEY:" "$HEADRACE_INGEST_URL/v1/$1" -d "$2"; }
profile() {
  curl -H "Authorization: Bearer $HEADRACE_ADMIN_TOKEN" \
    "$HEADRACE_PROFILES_URL/v1/profiles/lookup?type=user_id&value=$1" |
    sed -E 's/^\{"id": ?"([^"]*)".*/profile id = \1\n/'
}
