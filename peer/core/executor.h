// Carries out the effects of a Peer, in a fixed order. The shell uses it with sockets (Network),
// the simulation with a virtual network (World). So the simulation tests the real order of effects
// and the real back pressure.
//
//   private writes, listens, dials, admissions, sends, closes, host checks, [flush] jobs, search
//   updates, push jobs, push changes, private updates, rooms, notices
//
// Messages are flushed before the first job, so a query is on its way before this peer matches it
// against its share. Notices come last, so a reader of a notice finds all other effects done.
//
// If a send fills a queue, the other links are paused until it is short again, at most for a second
// (back_pressure.h). The host reports with drained() and closed() when the queue is short again or
// gone, and calls tick() when deadline() has passed.
//
// The functions of a host. None of them blocks, and none passes an event to the core before
// carryOut() has returned.
//
//   void listen(const Endpoint&);     void dial(const Dial&);        void close(ConnectionId);
//   bool send(const Send&);           true: the connection's queue is full
//   void flush();                     sends as much of the queues as it can
//   void match(const MatchJob&);      void searched(SearchUpdate&);
//   void pushJob(PushJob&);           void pushChanged(const PushId&);
//   void privateWrite(PrivateWrite&); Peer::privates()->stored() when it is durable
//   void privateAdmitted(const PrivateAdmission&);
//   void checkHost(const HostCheck&); answered by Peer::hostChecked()
//   void privateUpdate(PrivateUpdate&);
//   void roomsChanged(RoomViewsEffects&);
//   void notice(const Notice&);
//   void pauseLinks(ConnectionId);    stops reading all links except that one
//   void resumeLinks();               reads all of them
//
// Not thread-safe; runs on the thread of the core.
#pragma once

#include "peer/core/back_pressure.h"
#include "peer/core/peer.h"

namespace espalier::peer {

template <typename Host>
class Executor {
 public:
  // Both are borrowed.
  Executor(Peer& peer, Host& host) : peer_(peer), host_(host) {}

  // The event has been handed to the core; ends its step.
  void carryOut(Effects& fx, TimePoint now) {
    peer_.endStep(now, fx);
    for (auto& write : fx.privateWrites) host_.privateWrite(write);
    for (const auto& listen : fx.listens) host_.listen(listen.at);
    for (const auto& dial : fx.dials) host_.dial(dial);
    for (const auto& admission : fx.privateAdmissions) host_.privateAdmitted(admission);
    for (const auto& send : fx.sends) {
      if (host_.send(send)) filled(send.to, now);
    }
    for (const auto& close : fx.closes) host_.close(close.connection);
    for (const auto& check : fx.hostChecks) host_.checkHost(check);
    if (!fx.jobs.empty()) host_.flush();
    for (const auto& job : fx.jobs) host_.match(job);
    for (auto& update : fx.searchUpdates) host_.searched(update);
    for (auto& job : fx.pushJobs) host_.pushJob(job);
    for (const auto& id : fx.pushChanges) host_.pushChanged(id);
    for (auto& update : fx.privateUpdates) host_.privateUpdate(update);
    if (!fx.rooms.isEmpty()) host_.roomsChanged(fx.rooms);
    for (const auto& notice : fx.notices) host_.notice(notice);
  }

  // A queue that was full is short again.
  void drained(ConnectionId connection) {
    if (!pressure_.isFull(connection)) return;
    peer_.drained(connection);
    if (pressure_.drain(connection)) host_.resumeLinks();
  }
  // The connection is gone.
  void closed(ConnectionId connection) { pressure_.forget(connection); }

  bool isFull(ConnectionId connection) const { return pressure_.isFull(connection); }

  void tick(TimePoint now) {
    if (pressure_.resumeIsDue(now)) host_.resumeLinks();
  }
  TimePoint deadline() const { return pressure_.deadline(); }

 private:
  void filled(ConnectionId connection, TimePoint now) {
    if (pressure_.isFull(connection)) return;
    peer_.congested(connection);
    if (pressure_.fill(connection, now)) host_.pauseLinks(connection);
  }

  Peer& peer_;
  Host& host_;
  BackPressure pressure_;
};

}  // namespace espalier::peer
