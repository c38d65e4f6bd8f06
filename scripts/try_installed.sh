# Run by scripts/bare_debian in a bare Debian that has the two packages: a network of two peers, a file that is fetched,
# the pages and completions. Bash, with -eu.
cd "$(mktemp -d)"
run=()
end() { kill "${run[@]}" 2>/dev/null || true; wait; }
trap end EXIT
wait_for() {
  local file=$1 text=$2
  for ((i = 0; i < 1200; ++i)); do
    ! grep -q "$text" "$file" || return 0
    sleep 0.05
  done
  cat "$file" >&2
  echo "gave up waiting for: $text" >&2
  return 1
}

metaserver --version
peer --version
mkdir s1 s2
head -c 3000000 /dev/urandom >s1/tune.bin
metaserver --listen 127.0.0.1:5000 >meta.log 2>&1 &
run+=($!)
wait_for meta.log "metaserver ready"
for id in s1 s2; do
  peer --id $id --share ./$id --headless >$id.log 2>&1 &
  run+=($!)
  wait_for $id.log "$id joined"
done
peer --share ./s2 -e 'get tune.bin' >got 2>&1 || { cat got; exit 1; }
cmp s1/tune.bin s2/tune.bin
metaserver -e topo
end
run=()

for file in /usr/share/man/man1/{metaserver,peer}.1.gz /usr/share/man/man7/espalier-protocol.7.gz \
  /usr/share/zsh/vendor-completions/_{metaserver,peer} /usr/share/fish/vendor_completions.d/{metaserver,peer}.fish \
  /lib/systemd/system/espalier-{metaserver,peer@}.service; do
  [[ -s $file ]] || { echo "$file is not there" >&2; exit 1; }
done
for program in metaserver peer; do
  source "/usr/share/bash-completion/completions/$program"
  COMP_WORDS=("$program" --sta) COMP_CWORD=1
  "_espalier_$program"
  [[ ${COMPREPLY[*]} == --state ]] || { echo "completed to: ${COMPREPLY[*]}" >&2; exit 1; }
done

# What services keep and what an operator writes is gone after a purge, too.
mkdir -p /etc/espalier /var/lib/private/espalier/s1 /var/lib/espalier /var/lib/private/espalier-metaserver
touch /etc/espalier/{metaserver,peer-s1}.env /var/lib/private/espalier/s1/x
ln -s ../private/espalier/s1 /var/lib/espalier/s1
ln -s private/espalier-metaserver /var/lib/espalier-metaserver
# So are services that were enabled or edited.
units=/etc/systemd/system
mkdir "$units/espalier-peer@s1.service.d"
ln -s /lib/systemd/system/espalier-peer@.service "$units/multi-user.target.wants/espalier-peer@s1.service"
