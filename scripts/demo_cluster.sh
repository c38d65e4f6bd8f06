# The part of ./demo with several metaservers. Sourced by it, in the demo's folder.
#
# Uses: start, wait_for, give_up, show_fetched, take_place, stop_process, processes, metaservers, peers, max_links,
# first_port, etcd, once, and the programs. A metaserver m2 has its files in topo-m2.txt and .metaserver-m2.

# Options of every metaserver that is started from here on.
cluster_options=()
declare -A addresses=()  # of the metaservers

topo_of() { printf 'topo-%s.txt' "$1"; }

# Runs a command in a running metaserver, as a user does. $1: its name.
ask() { "$metaserver" --name "$1" "${@:2}" 2>>ask.log; }

# Starts metaserver $1. It is told the address of the first one, which tells it the others.
start_metaserver() {
  local name=$1 others=()
  [[ -z ${addresses[m1]:-} ]] || others=(--cluster "${addresses[m1]}")
  start "$name" "$metaserver" --listen 127.0.0.1:0 --name "$name" "${others[@]}" "${cluster_options[@]}" \
    --first-port "$first_port" --max-links "$max_links" \
    --state ".metaserver-$name" --topo "$(topo_of "$name")" --count-file "NumberOfServers-$name.txt"
  wait_for 20 "$name" "$name was ready" is_ready_at "$name"
  is_ready_at "$name"
  addresses[$name]=${BASH_REMATCH[1]}
  say "$name on ${addresses[$name]}${others[*]:+, with ${others[*]}}"
}
is_ready_at() { [[ $(<"$1.log") =~ metaserver\ ready\ on\ ([^,]+), ]]; }

living() {
  local name
  for name in "${metaservers[@]}"; do [[ -z ${processes[$name]:-} ]] || printf '%s\n' "$name"; done
}

# The master that metaserver $1 names; empty: none.
master_at() { ask "$1" --json -e master | sed -n 's/.*"master":"\([^"]*\)".*/\1/p'; }

# All living metaservers name the same master. It is then in `master`.
agree_on_a_master() {
  local name named
  master=''
  for name in $(living); do
    named=$(master_at "$name")
    [[ -n $named && -n ${processes[$named]:-} && (-z $master || $named == "$master") ]] || return 1
    master=$named
  done
}

# A tree of $1 peers, the same in the topo.txt of every living metaserver.
is_whole_everywhere() {
  local name first=''
  for name in $(living); do
    [[ -f $(topo_of "$name") ]] || return 1
    : "${first:=$(topo_of "$name")}"
    cmp -s "$first" "$(topo_of "$name")" || return 1
  done
  (($(wc -l <"$first") == $1 && $(wc -w <"$first") == 3 * $1 - 2))
}

show_masters() {
  local name
  for name in $(living); do say "    $ metaserver --name $name -e -m"; ask "$name" -e -m | sed 's/^/    /'; done
}

show_topo() {
  local names
  mapfile -t names < <(living)
  say "topo.txt, the same at ${names[*]}:"
  sed 's/^/    /' "$(topo_of "${names[0]}")"
}

# Peer $1, at metaserver $2. The remaining words are options.
start_member() {
  start "$1" "$peer" --metaserver "${addresses[$2]}" --id "$1" --share "./$1" --headless "${@:3}"
  wait_for 20 "$1" "$1 had joined" is_in_topo "$1" "$2"
}
is_in_topo() { [[ -f $(topo_of "$2") ]] && grep -q "^$1:" "$(topo_of "$2")"; }

# The fetch of film.bin by peer $1 has some of it, and lacks some.
is_fetching() {
  "$peer" --share "./$1" --json -e status 2>>ask.log | python3 -c '
import json, sys
transfers = json.loads(sys.stdin.readline() or "{}").get("transfers", [])
sys.exit(not any(each["incoming"] and 0 < each["done"] < each["size"] for each in transfers))'
}

seconds_since() { awk -v from="$1" -v to="$(date +%s.%N)" 'BEGIN { printf "%.2f s", to - from }'; }

# Three etcds. Each compares what the others write, so any two of them are enough.
start_etcds() {
  local i members='' urls='' port=$((first_port + 10000))
  command -v etcd >/dev/null || give_up "etcd is not installed: packages.txt"
  for i in 1 2 3; do
    members+="${members:+,}e$i=http://127.0.0.1:$((port + 2 * i + 1))"
    urls+="${urls:+,}http://127.0.0.1:$((port + 2 * i))"
  done
  for i in 1 2 3; do
    start "e$i" etcd --name "e$i" --data-dir "e$i" --initial-cluster "$members" \
      --heartbeat-interval 50 --election-timeout 500 \
      --listen-client-urls "http://127.0.0.1:$((port + 2 * i))" \
      --advertise-client-urls "http://127.0.0.1:$((port + 2 * i))" \
      --listen-peer-urls "http://127.0.0.1:$((port + 2 * i + 1))" \
      --initial-advertise-peer-urls "http://127.0.0.1:$((port + 2 * i + 1))"
  done
  cluster_options=(--coordination "etcd:$urls")
  say "three etcds name the master: ${cluster_options[*]}"
}

show_cluster() {
  local name i
  if [[ $etcd == yes ]]; then start_etcds; fi
  for name in "${metaservers[@]}"; do start_metaserver "$name"; done
  wait_for 20 m1 "all metaservers had one master" agree_on_a_master
  show_masters

  head -c 25165824 /dev/urandom >s1/film.bin
  for ((i = 1; i <= peers; i++)); do
    start_member "s$i" "${metaservers[(i - 1) % metaserver_count]}" --upload-rate 6M
  done
  wait_for 20 "s$peers" "topo.txt showed one tree of $peers peers everywhere" is_whole_everywhere "$peers"
  say "$peers peers have joined, in turns at ${metaservers[*]}"
  show_topo

  fetch_without_master "s$peers"
  if [[ $once == yes ]]; then return; fi
  local known
  known=$(IFS=,; printf '%s' "${addresses[*]}")
  say "Ask a metaserver in another terminal: cd $folder; $metaserver --name $master -e servers"
  take_place "s$peers" "$known" "topo · find '*' · get f3.txt · status · help · stop"
}

# Peer $1 fetches a file; meanwhile the master is killed and a newcomer joins.
fetch_without_master() {
  local asker=$1 killed=$master at heir fetch
  say "$asker asks for film.bin; s1 sends 6 MB a second"
  "$peer" --share "./$asker" --json -e 'get film.bin' >get.json 2>get.log &
  fetch=$!
  wait_for 20 "$asker" "the fetch was under way" is_fetching "$asker"

  say "kill -9 $killed, the master"
  at=$(date +%s.%N)
  kill -KILL "${processes[$killed]}"
  wait "${processes[$killed]}" 2>/dev/null || true
  unset "processes[$killed]" "addresses[$killed]"
  heir=$(living | head -n 1)
  wait_for 20 "$heir" "the others had another master" agree_on_a_master
  say "$master is the master now, $(seconds_since "$at") after the kill"
  show_masters

  mkdir -p newcomer
  say "A newcomer brought this." >newcomer/hello.txt
  start_member newcomer "$heir"
  say "a newcomer has joined, $(seconds_since "$at") after the kill; the fetch $(
    if kill -0 "$fetch" 2>/dev/null; then printf 'goes on'; else printf 'has ended'; fi)"

  wait "$fetch" || { cat get.json get.log >&2; give_up "the fetch failed" "$asker"; }
  show_fetched get.json
  cmp -s s1/film.bin "$asker/film.bin" || give_up "$asker/film.bin is not what s1 shares" "$asker"
  wait_for 20 newcomer "topo.txt showed one tree of $((peers + 1)) peers everywhere" \
    is_whole_everywhere $((peers + 1))
  show_topo
  wait_for 20 "$heir" "every peer had a metaserver" has_all_peers "$heir" $((peers + 1))
  say "    $ metaserver --name $heir -e servers"
  ask "$heir" -e servers | sed 's/^/    /'
}

# The living metaservers hold $2 peers together, as $1 says.
has_all_peers() {
  ask "$1" --json -e servers | python3 -c '
import json, sys
servers = json.loads(sys.stdin.readline() or "{}").get("servers", [])
sys.exit(sum(each["peers"] for each in servers if not each.get("dead")) != int(sys.argv[1]))' "$2"
}
