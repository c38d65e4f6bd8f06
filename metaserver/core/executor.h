// Carries the effects of the registry out, in one order, wherever it runs: in the metaserver
// (Server) and in the simulation (World). Both use this template, so that the order is tested as it
// is:
//
//   persists, sends, readings, closes, probes, notices, sessions, statistics
//
// Invariant: a step whose persist fails sends nothing. Nothing else of that step is carried out.
//
// What a host does:
//
//   Result<void> persist(const Persist&);   beforeSends: returns once the state is durable
//   void send(Send&);                       queues the reply
//   void reading(const Reading&);           pauses or resumes
//   void close(ConnectionId);               once what was sent has left
//   void probe(Probe&);
//   void notice(const std::string&);
//   void sessionEvents(const std::vector<session::Event>&);   if the host keeps sessions
//   void statisticsAsked(const StatisticsAsked&);   the same
//
// No state. The caller does not hold the registry's mutex.
#pragma once

#include "common/base/result.h"
#include "metaserver/core/effects.h"

namespace espalier::metaserver {

template <typename Host>
Result<void> carryOutEffects(Effects& fx, Host& host) {
  for (const auto& persist : fx.persists) {
    if (auto persisted = host.persist(persist); !persisted) return persisted;
  }
  for (auto& send : fx.sends) host.send(send);
  for (const auto& reading : fx.readings) host.reading(reading);
  for (const auto connection : fx.closes) host.close(connection);
  for (auto& probe : fx.probes) host.probe(probe);
  for (const auto& notice : fx.notices) host.notice(notice);
  if constexpr (requires { host.sessionEvents(fx.sessions); }) {
    if (!fx.sessions.empty()) host.sessionEvents(fx.sessions);
    for (const auto& asked : fx.statistics) host.statisticsAsked(asked);
  }
  return {};
}

}  // namespace espalier::metaserver
