#!/usr/bin/env bash
# Enforces the arrows between the rooms (docs/ARCHITECTURE.md): each room imports only what its line allows.
# Also: the pure rooms never import what reads clocks, files or sockets.
set -euo pipefail
cd "$(dirname "$0")/.."

system="Glibc|Musl|Darwin|Synchronization|FoundationEssentials"
allow() {
    case "$1" in
    Sources/MeshProtocol) echo "" ;;
    Sources/SemanticVersion) echo "" ;;
    Sources/BrokerCore) echo "MeshProtocol|SemanticVersion|DequeModule|Histogram" ;;
    Sources/ZeroMQ) echo "CZeroMQ|CLinuxShims|$system" ;;
    Sources/ConfigDocument) echo "Yams|$system" ;;
    Sources/Manifest) echo "ConfigDocument|SemanticVersion|$system" ;;
    Sources/Broker) echo "BrokerCore|MeshProtocol|SemanticVersion|ZeroMQ|CLinuxShims|ConfigDocument|Manifest|Logging|$system" ;;
    Sources/MeshClient) echo "MeshProtocol|SemanticVersion|ZeroMQ|CLinuxShims|DequeModule|Logging|$system" ;;
    Sources/WizPlugin) echo "MeshClient|MeshProtocol|SemanticVersion|CLinuxShims|Logging|$system" ;;
    Sources/PluginHost) echo "Manifest|ConfigDocument|SemanticVersion|MeshClient|MeshProtocol|CLinuxShims|Logging|Subprocess|SystemPackage|$system" ;;
    Sources/BrokerSimulation) echo "BrokerCore|MeshProtocol|HeapModule|Synchronization" ;;
    Sources/MeshTesting) echo "Broker|MeshClient|MeshProtocol|WizPlugin|CLinuxShims|Logging|$system" ;;
    Sources/wizmesh-launch) echo "CLinuxShims|Glibc" ;;
    Sources/wiz) echo "Broker|MeshClient|MeshProtocol|PluginHost|Manifest|ConfigDocument|SemanticVersion|ArgumentParser|Histogram|Logging|CLinuxShims|$system" ;;
    broker/Sources) echo "Broker|ArgumentParser|Logging|$system" ;;
    plugins/*) echo "WizPlugin|NGramModel|CLinuxShims|$system" ;;
    *) echo "" ;;
    esac
}

failed=0
for room in Sources/*/ broker/Sources/ plugins/*/Sources/; do
    room=${room%/}
    [ -d "$room" ] || continue
    allowed=$(allow "$room")
    while IFS=: read -r file line text; do
        module=$(sed -E 's/^(@[a-zA-Z_]+(\([^)]*\))? +)*((public|package|internal|private|fileprivate) +)?import +((struct|class|enum|func|protocol|typealias|var|let) +)?([A-Za-z0-9_]+).*/\7/' <<<"$text")
        if [ -z "$allowed" ] || ! grep -qE "^($allowed)$" <<<"$module"; then
            printf '%s:%s: %s must not import %s (Scripts/check-imports.sh lists what it may)\n' "$file" "$line" "$room" "$module"
            failed=1
        fi
    done < <(grep -rnE '^(@[a-zA-Z_]+(\([^)]*\))? +)*((public|package|internal|private|fileprivate) +)?import ' "$room" --include='*.swift' || true)
done
exit $failed
