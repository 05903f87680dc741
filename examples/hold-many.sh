#!/usr/bin/env bash
# Holds places on several resources, all of them or none: a loop of holds that gives back what it
# has when a later one is refused. Run `make run` in another terminal first, then:
#
#   examples/hold-many.sh                       a place at the demo's gig, and seats A1 and A2
#   examples/hold-many.sh gig hall hall:A1      by name; RESOURCE:SEAT for a seat
#
# There is no transaction over resources, and none is needed: a hold is already the promise that
# nobody else gets the place. Every request has an Idempotency-Key that follows from the order's
# name, so after an interruption the script may be run again with the same ORDER and takes nothing
# twice. An order that was given back is over: the next attempt is a new ORDER.
set -euo pipefail

url=${EVENKEEL_URL:-http://127.0.0.1:7480}
order=${ORDER:-order-$(date +%s)-$$}
holder=${HOLDER:-you}
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(gig hall:A1 hall:A2)

# The holds taken so far, as RESOURCE/HOLD.
taken=()

# send KEY ADDRESS BODY: prints the answer's body; fails if the answer is no. When there is no
# answer, or the server is busy or away, it asks again with the same key, which cannot take twice.
send() {
  local answer status try
  for try in 1 2 3 4 5 6; do
    [ "$try" = 1 ] || sleep "$((try - 1))"
    answer=$(curl --silent --show-error --max-time 10 --write-out '\n%{http_code}' \
      -H "Idempotency-Key: $1" --json "$3" "$url$2") || true
    status=${answer##*$'\n'}
    case $status in
      2??) printf '%s\n' "${answer%$'\n'*}"; return 0 ;;
      '' | 000 | 429 | 5??) ;;
      *) break ;;
    esac
  done
  printf '%s\n' "${answer%$'\n'*}" >&2
  return 1
}

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

give_back() {
  local place
  for place in "${taken[@]}"; do
    # Should this fail too, the hold's own time ends it.
    send "$order-release-${place//\//-}" \
      "/v1/resources/${place%/*}/holds/${place#*/}/release" '{}' >/dev/null &&
      echo "gave back ${place%/*}"
  done
}

for want in "${wanted[@]}"; do
  resource=${want%%:*}
  if [ "$want" = "$resource" ]; then
    places='"quantity":1'
  else
    places="\"seats\":[\"${want#*:}\"]"
  fi
  body="{\"holder\":\"$holder\",\"ttl_ms\":120000,$places}"
  if ! answer=$(send "$order-hold-${want//:/-}" "/v1/resources/$resource/holds" "$body"); then
    echo "$want: refused; nothing is kept" >&2
    give_back
    exit 1
  fi
  hold=$(field hold <<<"$answer")
  taken+=("$resource/$hold")
  echo "hold $hold on $want until $(field expires_at <<<"$answer")"
done

# Here the payment is taken. It may be late for one of the holds, so each confirmation says what to
# do then: take the same place again if nobody else has it.
for place in "${taken[@]}"; do
  answer=$(send "$order-confirm-${place//\//-}" \
    "/v1/resources/${place%/*}/holds/${place#*/}/confirm" '{"late":"reacquire"}') || {
    echo "${place%/*}: not confirmed; if it was too late and the place is gone, refund it" >&2
    continue
  }
  echo "confirmed ${place%/*}: hold $(field hold <<<"$answer")"
done
