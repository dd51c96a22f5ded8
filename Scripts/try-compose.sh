#!/usr/bin/env bash
# Runs compose.yaml as a user would and checks what it promises: health, confinement, a call, a stream, a broker's restart,
# four workers that share the load. Ends with 0 only when all of it held, and leaves no container, image, volume or network.
#
# With a Docker engine: docker compose, images built from the sources. Where there is neither an engine nor a registry:
# podman in a store of its own, a base image from debootstrap, and binaries built here in place of the builder's stage.
# What takes long to fetch is kept in .build/compose. KEEP=1 leaves the mesh running.
set -uo pipefail
cd "$(dirname "$0")/.."

project=wizmesh-try
services=(broker echo ngram-llm ui midnight-theme filesystem-access)
began=$SECONDS
failures=0
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' green='' red='' dim='' plain=''
fi
title() { printf '\n%s%s%s %s(%d s)%s\n' "$bold" "$1" "$plain" "$dim" $((SECONDS - began)) "$plain"; }
good() { printf '  %s✓ %s%s\n' "$green" "$1" "$plain"; }
bad() {
    failures=$((failures + 1))
    printf '  %s✗ %s%s\n' "$red" "$1" "$plain"
}
check() { if eval "$2"; then good "$1"; else bad "$1"; fi; }
give_up() {
    bad "$1"
    [ -z "${2:-}" ] || sed 's/^/      /' <<<"$2"
    exit 1
}
until_true() { # SECONDS CONDITION
    local end=$((SECONDS + $1))
    until eval "$2"; do
        [ $SECONDS -lt $end ] || return 1
        read -rt 0.2 <> <(:) || true
    done
}
# podman without systemd tells, each time, that it starts no timers for health checks; they are run below instead.
quiet() { grep -vE 'systemd|syslog|input device is not a TTY|condition check due to podman' || true; }

# What both engines understand.
compose() {
    case $engine in
    docker) docker compose -p $project "$@" ;;
    podman) podman-compose -p $project "$@" 2> >(quiet >&2) ;;
    esac
}
wiz() { compose --profile tools run --rm --no-deps -T wiz "$@"; }
in_broker() { "$engine" exec "$(containers broker)" wiz "$@" 2> >(quiet >&2); }
containers() {
    "$engine" ps -q --filter label=com.docker.compose.project=$project --filter "label=com.docker.compose.service=$1"
}
healthy() { # SERVICE: all of its containers
    local id count=0
    for id in $(containers "$1"); do
        count=$((count + 1))
        case $engine in
        docker) [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ] || return 1 ;;
        podman) podman healthcheck run "$id" >/dev/null 2>&1 || return 1 ;;
        esac
    done
    [ $count -ge "${2:-1}" ]
}

podman_needs() {
    [ "$(id -u)" -eq 0 ] || give_up "without a Docker engine this needs root, for podman's networks and debootstrap: sudo $0"
    local packages=(podman runc netavark aardvark-dns iptables debootstrap python3)
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
    Scripts/setup.sh "${packages[@]}" || give_up "${packages[*]} could not be installed"
    cache=$PWD/.build/compose
    mkdir -p "$cache"
    if [ ! -x "$cache/venv/bin/podman-compose" ]; then
        python3 -m venv "$cache/venv" && "$cache/venv/bin/pip" install -q --disable-pip-version-check podman-compose==1.6.0 ||
            give_up "podman-compose could not be installed from PyPI"
    fi
    export PATH=$cache/venv/bin:$PATH
}

podman_store() {
    # Paths of sockets are short, so the part with them is elsewhere.
    run=$(mktemp -d /tmp/wizmesh.XXXXXX)
    store=$(mktemp -d "$cache/store.XXXXXX")
    cat >"$run/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[network]
network_backend = "netavark"
network_config_dir = "$run/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$run/engine"
EOF
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$store" "$run/state" >"$run/storage.conf"
    export CONTAINERS_CONF=$run/containers.conf CONTAINERS_STORAGE_CONF=$run/storage.conf BUILDAH_FORMAT=docker
}

podman_base() {
    local base=docker.io/library/debian:bookworm-slim
    if [ ! -f "$cache/debian.tar" ] && timeout 20 podman pull -q $base >/dev/null 2>&1; then return; fi
    if [ ! -f "$cache/debian.tar" ]; then
        title "No registry: a base image from debootstrap, once"
        debootstrap --variant=minbase bookworm "$run/base" "${MIRROR:-http://deb.debian.org/debian}" >"$run/log" 2>&1 ||
            give_up "debootstrap failed" "$(tail -5 "$run/log")"
        tar -C "$run/base" --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*' \
            --exclude='./usr/share/doc/*' -cf "$cache/debian.tar.new" . && mv "$cache/debian.tar.new" "$cache/debian.tar"
        rm -rf "$run/base"
    fi
    podman import -q "$cache/debian.tar" $base >/dev/null 2>"$run/log" ||
        give_up "the base image could not be made" "$(cat "$run/log")"
}

podman_builder() {
    Scripts/build.sh >"$run/log" 2>&1 || give_up "the release build failed" "$(tail -20 "$run/log")"
    Scripts/stage.sh "$run/out" || give_up "the programs could not be put together"
    printf 'FROM scratch\nCOPY . /out\n' >"$run/Dockerfile"
    podman build -q -f "$run/Dockerfile" -t localhost/wizmesh/binaries "$run/out" >/dev/null 2>"$run/log" ||
        give_up "the image of the binaries could not be made" "$(tail -5 "$run/log")"
    rm -rf "$run/out"
    export WIZ_BUILDER=localhost/wizmesh/binaries
}

finish() {
    trap - EXIT INT TERM
    [ -z "${load:-}" ] || kill "$load" 2>/dev/null
    if [ -n "${KEEP:-}" ] && [ "${isUp:-}" = 1 ]; then
        printf '\nIt runs on (KEEP=1). The environment to reach it with:\n'
        env | grep -E '^(CONTAINERS|BUILDAH|WIZ_BUILDER)' | sed 's/^/  export /'
        return
    fi
    [ "${isUp:-}" != 1 ] || title "Down"
    case ${engine:-} in
    docker)
        if [ "${hadImages:-}" = 1 ]; then
            compose down --volumes --timeout 10 >/dev/null 2>&1
        else
            compose down --volumes --rmi all --timeout 10 >/dev/null 2>&1
        fi
        left=$(docker ps -aq --filter label=com.docker.compose.project=$project | wc -l)
        ;;
    podman)
        if [ -n "${store:-}" ]; then
            compose down --volumes --timeout 10 >/dev/null 2>&1
            podman rm -af >/dev/null 2>&1
            podman volume rm -af >/dev/null 2>&1
            podman network prune -f >/dev/null 2>&1
            left=$(podman ps -aq 2>/dev/null | wc -l)
            umount "$store/overlay" 2>/dev/null
            rm -rf "$store"
        fi
        [ -z "${run:-}" ] || rm -rf "$run"
        [ ! -e "${store:-/nonexistent}" ] || left=1
        ;;
    esac
    [ "${isUp:-}" != 1 ] || check "nothing is left" '[ "${left:-0}" -eq 0 ]'
    printf '\n%s in %d s\n' "$([ $failures -eq 0 ] && echo "everything held" || echo "$failures checks failed")" $((SECONDS - began))
    [ $failures -eq 0 ] || exit 1
}
trap finish EXIT
trap 'finish; exit 130' INT TERM

if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then engine=docker; else engine=podman; fi
title "Build, with $engine"
isUp=0
if [ $engine = docker ]; then
    run=$(mktemp -d /tmp/wizmesh.XXXXXX)
    docker image inspect wizmesh/broker >/dev/null 2>&1 && hadImages=1
    compose build >"$run/log" 2>&1 || give_up "the images could not be built" "$(tail -20 "$run/log")"
else
    podman_needs
    podman_store
    podman_base
    podman_builder
    podman-compose -p $project --podman-build-args=--network=host build >"$run/log" 2>&1 ||
        give_up "the images could not be built" "$(tail -20 "$run/log")"
fi
good "the images are built"

title "Up: keys, broker, plugins"
isUp=1
compose up -d >"$run/log" 2>&1 || give_up "compose up failed" "$(quiet <"$run/log" | tail -20)"
for service in "${services[@]}"; do
    check "$service is healthy" 'until_true 60 "healthy $service"'
done
[ $failures -eq 0 ] || give_up "not everything came up" "$(compose logs 2>&1 | quiet | tail -40)"

title "Confined"
echo_container=$(containers echo)
status=$("$engine" exec "$echo_container" cat /proc/1/status)
check "the plugin is no root" '! grep -qE "^Uid:\s+0\s" <<<"$status"'
check "it has no capability, and can get none" \
    'grep -qE "^CapEff:\s+0+$" <<<"$status" && grep -qE "^CapBnd:\s+0+$" <<<"$status" && grep -qE "^NoNewPrivs:\s+1" <<<"$status"'
check "its root file system is read-only" '! "$engine" exec "$echo_container" touch /plugin/x 2>/dev/null'
check "it sees its own keys and nobody else's" \
    '[ "$("$engine" exec "$echo_container" ls /keys | tr -d "\r" | xargs)" = "broker.pub key.json" ]'
check "it has no way out of the mesh's network" \
    '! "$engine" exec "$echo_container" grep -qE "^[a-z0-9]+\s+00000000\s" /proc/net/route'

title "A call and a stream, from a container, over tcp with CURVE"
output=$(wiz call echo.say '{"text":"hello"}' 2>&1)
check "echo answers: $(tail -1 <<<"$output")" 'grep -q hello <<<"$output"'
output=$(wiz call llm.complete '{"prompt":"the garden","maxTokens":40,"seed":7}' --json 2>&1)
check "the model streams: $(tail -c 60 <<<"$output" | tr -d '\n')" '[ "${#output}" -gt 60 ]'
output=$(wiz call filesystem-access.write '{"path":"a.txt","text":"kept"}' 2>&1)
check "a file is written into the plugin's volume" '[ "$("$engine" exec "$(containers filesystem-access)" cat /data/a.txt)" = kept ]'

title "Scale: --scale ngram-llm=4"
compose up -d --no-recreate --scale ngram-llm=4 >"$run/log" 2>&1 || bad "compose up --scale failed"
check "four workers are healthy" 'until_true 60 "healthy ngram-llm 4"'
workers() { in_broker sessions --json 2>/dev/null | tr '{' '\n' | grep '"name":"ngram-llm"'; }
check "the broker knows four sessions of one principal" \
    '[ "$(workers | grep -c "\"principal\":\"ngram-llm\"")" -eq 4 ]'
wiz bench llm.complete --payload '{"prompt":"in the workshop","maxTokens":400}' --stream --window 8 --duration 6s \
    >"$run/bench" 2>&1 &
load=$!
busy=''
while kill -0 $load 2>/dev/null; do
    busy+=$(workers | grep -v '"leasesHeld":0[,}]' | grep -o '"instance":"[^"]*"')$'\n'
    read -rt 0.1 <> <(:) || true
done
load=''
count=$(sort -u <<<"$busy" | grep -c instance)
check "$count of the four workers had calls at a time" '[ "$count" -ge 2 ]'
sed 's/^/      /' "$run/bench" | quiet

title "The broker is restarted"
compose restart -t 5 broker >"$run/log" 2>&1 || bad "compose restart failed"
check "the plugins come back by themselves" \
    'until_true 30 "in_broker services 2>/dev/null | grep -qE \"^llm +[0-9.]+ +4 \""'
check "and answer" 'until_true 10 "wiz call echo.say \"{\\\"text\\\":\\\"again\\\"}\" 2>/dev/null | grep -q again"'
for service in "${services[@]}"; do
    check "$service is healthy" 'until_true 30 "healthy $service"'
done
