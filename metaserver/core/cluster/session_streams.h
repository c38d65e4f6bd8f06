// The counts by which both ends of a stream of sessions (common/wire/cluster_sessions.h) notice
// that a message was lost. Connections between metaservers come and go, and messages may take
// another way, so order and completeness hold within a stream only.
//
//   home:    idle --begin()--> open --a gap, or the master says that it has one--> broken
//   master:  unknown --the first batch of a stream--> open --a gap--> broken --a new stream--> open
//
// A broken stream is never continued: the home begins another one and resumes its sessions in it.
// A batch of an earlier run of the home may come late. So the upper bits of a stream's number are
// the time at which the home was started, by which both ends know a run.
//
// Invariant: messages are returned in their order, each once, from the first of a stream on.
//
// Does no I/O. Not thread-safe. O(log homes) a batch.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/cluster_sessions.h"

namespace espalier::metaserver::cluster {

class HomeStream {
 public:
  // `started`: when this run of the home was, as its beats say.
  explicit HomeStream(std::chrono::milliseconds started);

  // To the master of that epoch. What was not wrapped before is not part of it.
  void begin(Epoch master);
  void end() { isOpen_ = false; }

  // An empty batch shows the master where the stream is.
  wire::SessionRequests wrap(std::vector<wire::SessionMessage> messages);
  // The messages of a batch of this stream that are new; nothing: the stream is broken.
  std::optional<std::vector<wire::SessionAnswer>> take(wire::SessionAnswers batch);

  bool isOpen() const { return isOpen_; }

 private:
  bool isOpen_ = false;
  Epoch epoch_;
  std::uint64_t stream_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

// At the master of one epoch: the streams of all homes.
class MasterStreams {
 public:
  explicit MasterStreams(Epoch epoch = {}) : epoch_(epoch) {}

  struct Taken {
    bool isNew = false;     // a stream begins: the sessions of the one before have ended
    bool isBroken = false;  // the home is to be told
    std::vector<wire::SessionMessage> messages;
  };
  // `started`: the run of the home that is reached. Nothing is taken of another one.
  Taken take(ServerNumber home, std::chrono::milliseconds started, wire::SessionRequests batch);
  // Nothing to send if the home has no stream.
  std::optional<wire::SessionAnswers> wrap(ServerNumber home,
                                           std::vector<wire::SessionAnswer> messages);
  void homeGone(ServerNumber home) { streams_.erase(home); }
  std::vector<ServerNumber> homes() const;

 private:
  struct Stream {
    std::uint64_t number = 0;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    bool isBroken = false;
  };

  Epoch epoch_;
  std::map<ServerNumber, Stream> streams_;
};

}  // namespace espalier::metaserver::cluster
