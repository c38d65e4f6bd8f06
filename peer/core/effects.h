// What a peer's cores ask the shell to do. They own no socket, thread, clock or random generator:
// they are handed events and `now`, and append here what is to be carried out. Executor
// (executor.h) carries it out, in the order of the fields.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/hello.h"
#include "common/wire/link.h"
#include "common/wire/registry.h"
#include "peer/core/push_jobs.h"
#include "peer/core/search_jobs.h"

namespace espalier::peer {

using Message = std::variant<wire::RegistryRequest, wire::LinkMessage>;

struct Send {
  ConnectionId to;
  Message message;
};

// Opens a connection and says Hello; what is sent to it meanwhile is kept.
struct Dial {
  ConnectionId connection;
  Endpoint to;
  wire::Purpose purpose;
};

// Closes once what was sent has left.
struct Close {
  ConnectionId connection;
};

// Listens there; answered by Membership::listening or listenFailed.
struct Listen {
  Endpoint at;
};

// For the log and the prompt.
struct Notice {
  enum class Kind {
    joined,       // text: the sentence of the dialogue
    wordRefused,  // text: the word that was refused
    refused,      // text: why this peer may not join; it is not tried again
    failed,       // text: why this peer cannot listen; it is not tried again
    mismatch,     // text: why what answers is no metaserver to join; it is not tried again
    waiting,      // text: what the metaserver waits for
    metaserverLost,
    metaserverBack,
    linkUp,
    linkDown,
    root,         // this peer is the root now
    seenFrom,     // text: the host that the metaserver sees this peer come from
    unreachable,  // text: why the metaserver cannot connect to this peer
    warning,      // somebody misbehaved, something was slowed down or left out
  };
  Kind kind;
  std::string text;
};

struct Effects {
  std::vector<Listen> listens;
  std::vector<Dial> dials;
  std::vector<Send> sends;
  std::vector<Close> closes;
  std::vector<MatchJob> jobs;
  std::vector<SearchUpdate> searchUpdates;
  std::vector<PushJob> pushJobs;
  std::set<PushId> pushChanges;  // their ledgers say something new
  std::vector<Notice> notices;

  void send(ConnectionId link, wire::LinkMessage message) {
    sends.push_back({link, std::move(message)});
  }
  // Text for the log, printable.
  void warn(std::string text) { notices.push_back({Notice::Kind::warning, std::move(text)}); }
};

}  // namespace espalier::peer
