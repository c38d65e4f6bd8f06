// Counts what happens to the sessions of this metaserver's peers (core/sessions/sessions.h), keeps
// it in STATE/storage.db (storage/session_database.h), and answers statistics, with what the other
// metaservers have counted (core/sessions/statistics_rounds.h).
//
//   begin(), take()      every Join, and what the coordinator says of sessions
//   asked(), ask()       a peer, another metaserver, or a command wants statistics
//
// Nothing here waits for the disk: counting goes on in memory while it is full or slow.
//
// Thread rule: the loop's thread, but for wake(). The thread of the database takes its batches from
// behind a mutex of its own. Owned by the server, which is the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/wire/cluster_message.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/sessions/sessions.h"
#include "metaserver/core/sessions/statistics_rounds.h"
#include "metaserver/storage/session_database.h"

namespace espalier::metaserver::shell {

class SessionKeeper {
 public:
  struct Other {
    ServerNumber number{};
    ServerName name;
    std::chrono::milliseconds started{};
  };
  struct Host {
    std::function<bool(JoinOrder, std::chrono::milliseconds since)> hasMember;
    std::function<ServerName()> name;               // from any thread
    std::function<std::vector<Other>()> others;     // metaservers that are reached
    std::function<std::vector<ServerName>()> dead;  // of the last day
    std::function<void(ServerNumber, const wire::ClusterMessage&)> tell;
  };
  using Answer = std::function<void(const wire::Statistics&)>;

  SessionKeeper(std::string path, Host host);
  // Writes what is there still.
  ~SessionKeeper();
  // Reads the database. `configuration`: it is refused, with what to do.
  Result<void> open();
  // Begins to write. From now on the host is asked.
  Result<void> start();

  // --- sessions
  // Says when the session of that Join has begun, whatever its peer says.
  void begin(wire::Join& join);
  void take(const std::vector<session::Event>& events);
  // The other metaservers may have changed.
  void look();

  // --- statistics
  void ask(std::size_t days, Answer answer);
  void asked(ServerNumber from, const wire::StatisticsRequest& request);
  void answered(ServerNumber from, const wire::Statistics& statistics);

  void tick(TimePoint now);
  TimePoint deadline() const;
  // The state folder was removed.
  void wake() { database_.wake(); }

 private:
  sessions::Wall wall();
  wire::Statistics own(std::size_t days);
  void finish();

  const Host host_;
  Guarded<std::unique_ptr<sessions::Sessions>> sessions_{};
  TimePoint deadline_ = kNever;  // of the sessions
  TimePoint wakeAt_ = kNever;    // there is something to write
  storage::SessionDatabase database_;
  sessions::StatisticsRounds rounds_;
  std::map<std::uint64_t, Answer> askers_;
  std::uint64_t lastAsker_ = 0;
  std::int64_t offsetOf_ = -1;  // the minute since 1970 whose offset is known
  std::chrono::seconds offset_{};
};

}  // namespace espalier::metaserver::shell
