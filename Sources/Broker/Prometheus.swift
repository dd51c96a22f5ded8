// Counters and latencies in Prometheus's text format, version 0.0.4: what `mesh.metrics` answers for
// {"format": "prometheus"}.

import BrokerCore
import CLinuxShims
import MeshProtocol

/// Text in Prometheus's format, as it grows.
private struct PrometheusText {
    var text = ""

    mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP wizmesh_\(name) \(help)\n# TYPE wizmesh_\(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: [(String, String)] = [], _ value: String) {
        let list = labels.map { "\($0.0)=\"\(escaped($0.1))\"" }.joined(separator: ",")
        text += "wizmesh_\(name)\(list.isEmpty ? "" : "{\(list)}") \(value)\n"
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, "counter", help)
        sample(name, [], String(value))
    }

    mutating func counters(_ name: String, _ help: String, _ label: String, _ values: [String: UInt64]) {
        family(name, "counter", help)
        for (key, value) in values.sorted(by: { $0.key < $1.key }) { sample(name, [(label, key)], String(value)) }
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Int64) {
        family(name, "gauge", help)
        sample(name, [], String(value))
    }

    private func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}

extension MeshService {
    func prometheus() throws(Refusal) -> Answer {
        let (counters, peers, bodies, strays, foreign) = try ask { loop in
            let (wire, slab) = (loop.wire.foreignCount, loop.wire.slab.strayHandleCount)
            return (loop.core.counters, loop.wire.peers.count, loop.wire.slab.count, slab, wire)
        }
        var text = PrometheusText()
        write(counters, to: &text)
        text.gauge("connections", "Connections that have spoken.", Int64(peers))
        text.gauge("payloads_held", "Payloads held by the broker.", Int64(bodies))
        text.counter("stray_payload_handles_total", "Faults of the broker's own books.", strays)
        text.counter("foreign_routing_ids_total", "Messages of peers that chose their own id, refused.", foreign)
        text.counter("connections_refused_total", "Connections refused at the door.", office.refusalCount())
        text.counter("notices_lost_total", "Notices that could not be told.", office.lostNoticeCount)
        text.gauge("resident_bytes", "Resident memory.", wiz_resident_byte_count())
        text.gauge("open_files", "Open descriptors.", Int64(wiz_open_file_count()))
        writeSamples(try allMethods(), try allServices(), to: &text)
        return Answer(bytes: Array(text.text.utf8), contentType: .text)
    }

    private func write(_ counters: Counters, to text: inout PrometheusText) {
        text.counter("frames_in_total", "Frames taken in.", counters.framesIn)
        text.counter("frames_out_total", "Frames given out.", counters.framesOut)
        text.counter("calls_total", "Calls taken in.", counters.calls)
        text.counter("ends_total", "Calls that ended well.", counters.ends)
        text.counters("fails_total", "Calls that failed.", "status", counters.failsByName)
        text.counter("requests_declined_total", "Refused requests that are no calls.", counters.requestsDeclined)
        text.counter("reroutes_total", "Calls given to another worker.", counters.reroutes)
        text.counter("refusals_total", "Calls that a worker refused.", counters.refusals)
        text.counter("late_frames_total", "Frames for calls that had ended.", counters.lateFrames)
        text.counter("chunks_total", "Chunks forwarded.", counters.chunks)
        text.counter("events_in_total", "Events taken in.", counters.eventsIn)
        text.counter("events_out_total", "Events delivered.", counters.eventsOut)
        text.counter("events_dropped_total", "Events dropped for want of credit.", counters.eventsDropped)
        text.counter("denied_total", "Requests that the policy denied.", counters.denied)
        text.counter("deadlines_total", "Clocks that ran out.", counters.deadlines)
        text.counter("exhausted_total", "Requests refused because something was full.", counters.exhausted)
        text.counter("over_budget_total", "Refused for want of bytes that may be held.", counters.overBudget)
        text.counter("notices_suppressed_total", "Notices held back.", counters.noticesSuppressed)
        text.counter("sessions_opened_total", "Sessions welcomed.", counters.sessionsOpened)
        text.counter("sessions_rejected_total", "Connections rejected.", counters.sessionsRejected)
        text.counters("sessions_closed_total", "Sessions ended.", "cause", counters.sessionsClosedByName)
        text.counters("offences_total", "Broken rules.", "kind", counters.offencesByName)
    }

    private func writeSamples(
        _ methods: [MethodMetricsSnapshot],
        _ services: [ServiceSnapshot],
        to text: inout PrometheusText
    ) {
        func labels(_ method: MethodMetricsSnapshot) -> [(String, String)] {
            [("service", method.service), ("version", method.version), ("method", method.method)]
        }
        text.family("method_calls_total", "counter", "Calls that ended, by method.")
        for method in methods { text.sample("method_calls_total", labels(method), String(method.calls)) }
        text.family("method_errors_total", "counter", "Calls that failed, by method and status.")
        for method in methods {
            for (status, count) in method.errors.sorted(by: { $0.key < $1.key }) {
                text.sample("method_errors_total", labels(method) + [("status", status)], String(count))
            }
        }
        text.family("method_microseconds", "gauge", "Latency from CALL to its end, by quantile.")
        for method in methods {
            let total = method.total
            for (quantile, value) in [
                ("0.5", total.p50), ("0.9", total.p90), ("0.99", total.p99), ("0.999", total.p999),
            ] {
                text.sample("method_microseconds", labels(method) + [("quantile", quantile)], String(value))
            }
        }
        text.family("service_queued", "gauge", "Calls that wait for a worker.")
        for service in services {
            text.sample(
                "service_queued",
                [("service", service.service), ("version", service.version)],
                String(service.queued)
            )
        }
        text.family("service_capacity", "gauge", "Calls that its workers take at a time.")
        for service in services {
            text.sample(
                "service_capacity",
                [("service", service.service), ("version", service.version)],
                String(service.providers.reduce(0) { $0 + Int($1.capacity) })
            )
        }
    }

    private func allMethods() throws(Refusal) -> [MethodMetricsSnapshot] {
        var all: [MethodMetricsSnapshot] = []
        while true {
            let after = all.last?.cursor
            let items = try ask { $0.core.methodMetrics(after: after, limit: 500) }
            all += items
            guard items.count >= 500 else { return all }
        }
    }
}
