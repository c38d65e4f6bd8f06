// What the cores of a peer ask the shell to do. A core is given events and `now`, and appends its
// effects here. Executor (executor.h) carries them out in the order of the fields. Plain values.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/budget.h"
#include "common/base/ids.h"
#include "common/wire/hello.h"
#include "common/wire/link.h"
#include "common/wire/private.h"
#include "common/wire/registry.h"
#include "peer/core/private/private_writes.h"
#include "peer/core/push_jobs.h"
#include "peer/core/rooms/room_effects.h"
#include "peer/core/search_jobs.h"

namespace espalier::peer {

using Message = std::variant<wire::RegistryRequest, wire::LinkMessage, wire::PrivateFrame>;

struct Send {
  ConnectionId to;
  Message message;
};

// Opens a connection and sends Hello. Messages that are sent before it is open are kept.
struct Dial {
  ConnectionId connection;
  Endpoint to;
  wire::Purpose purpose;
  bool isNamedByUser = false;  // else by other processes
};

// Closes the connection after all messages before it have been sent.
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
    renamed,      // text: the id under which this member goes on
    failed,       // text: why this peer cannot listen; it is not tried again
    mismatch,     // text: why what answers is no metaserver to join; it is not tried again
    waiting,      // text: what the metaserver waits for
    metaserverLost,
    nextMetaserver,  // text: why the one before was left; this peer is in no network yet
    metaserverBack,  // text: its endpoint, where it is another one than before
    linkUp,          // text: the id of the peer
    linkDown,        // text: the id of the peer
    root,            // this peer is the root now
    seenFrom,        // text: the host that the metaserver sees this peer come from
    unreachable,     // text: why the metaserver cannot connect to this peer
    warning,         // another peer misbehaved, or something was slowed down or left out
  };
  Kind kind;
  std::string text;
  Payer about = {};  // who caused a warning, or whose link it is; otherwise the process
};

struct Effects {
  // What must be durable before a message is sent is written in a step before, of whose end
  // PrivateMessages hears.
  std::vector<PrivateWrite> privateWrites;
  std::vector<Listen> listens;
  std::vector<Dial> dials;
  std::vector<Send> sends;
  std::vector<Close> closes;
  std::vector<PrivateAdmission> privateAdmissions;
  std::vector<HostCheck> hostChecks;
  std::vector<MatchJob> jobs;
  std::vector<SearchUpdate> searchUpdates;
  std::vector<PushJob> pushJobs;
  std::set<PushId> pushChanges;  // pushes whose ledger or end has changed
  std::vector<PrivateUpdate> privateUpdates;
  RoomViewsEffects rooms;  // without `sends`, which are among the sends
  std::vector<Notice> notices;

  void send(ConnectionId link, wire::LinkMessage message) {
    sends.push_back({link, std::move(message)});
  }
  // Text for the log, printable, about what this peer or the metaserver did.
  void warn(std::string text) { notices.push_back({Notice::Kind::warning, std::move(text)}); }
  // The same about what another peer did.
  void warn(const PeerId& about, std::string text) {
    notices.push_back({Notice::Kind::warning, std::move(text), Payer::member(about)});
  }
};

}  // namespace espalier::peer
