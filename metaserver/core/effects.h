// Actions that the registry requests of its shell (Server), which carries them out in this order
// after it has released the mutex. Plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/budget.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/wire/registry.h"
#include "metaserver/core/session_event.h"

namespace espalier::metaserver {

// The state that a restarted registry needs has changed: it is to be written to the state file.
// The effect has no content, because the state has a line for each member; the shell reads the
// registry when it writes. `beforeSends` comes from Registry's constructor only: the shell writes
// the state with which the registry was made, and blocks. A core with durable data of its own needs
// a Persist that contains the data.
struct Persist {
  enum class Durability {
    beforeSends,  // the step sends nothing until the state is on disk
    behind,       // the sends do not wait; the state is written soon
  };
  Durability durability;
};

struct Send {
  ConnectionId to;
  wire::RegistryReply reply;
};

// Does a process listen at that endpoint? The shell answers by Registry::probed().
struct Probe {
  PeerId id;
  Endpoint endpoint;
  bool optional = false;  // without an answer an id is only held longer
};

// Whether the shell reads from a connection. While it does not, requests wait at their sender.
struct Reading {
  ConnectionId from;
  bool goesOn = false;
};

// A member asks for statistics: the shell answers, once it has asked the other metaservers.
struct StatisticsAsked {
  ConnectionId from;
  wire::StatisticsRequest request;
};

// A member's request about rooms: the coordinator has them.
struct RoomAsked {
  using Request = std::variant<wire::RoomRequest, wire::RoomListRequest, wire::RoomWhoRequest>;

  ConnectionId from;
  Request request;
};

// None: the request is about something else.
inline std::optional<RoomAsked::Request> roomsAsked(const wire::RegistryRequest& request) {
  if (const auto* room = std::get_if<wire::RoomRequest>(&request)) return *room;
  if (const auto* list = std::get_if<wire::RoomListRequest>(&request)) return *list;
  if (const auto* who = std::get_if<wire::RoomWhoRequest>(&request)) return *who;
  return std::nullopt;
}

// Of a registry that has no replica: a member is in, or is gone.
struct MemberMoved {
  PeerId id;
  bool isIn = false;
};

// For the log.
struct Notice {
  Payer about;       // the host that the peer connected from
  std::string text;  // printable
};

struct Effects {
  std::vector<Persist> persists;  // one for each durability at most
  std::vector<Send> sends;
  std::vector<Reading> readings;
  std::vector<ConnectionId> closes;  // after the sends
  std::vector<Probe> probes;
  std::vector<Notice> notices;
  std::vector<session::Event> sessions;
  std::vector<StatisticsAsked> statistics;
  std::vector<RoomAsked> rooms;      // these two are for the coordinator
  std::vector<MemberMoved> members;  // in their order

  // `host`: empty for what no peer has caused just now.
  void note(std::string_view host, std::string text) {
    notices.push_back({host.empty() ? Payer() : Payer::host(host), std::move(text)});
  }
};

}  // namespace espalier::metaserver
