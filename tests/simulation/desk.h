// Moves the bytes of pushes for one living peer of a World, in place of the shell's desk and the
// transfer's receiver, server and store. It takes each push from the sources that the core names,
// in order, verifies every chunk, and serves each chunk as soon as it has it.
//
//   core --PushReceive, PushTakeFrom, PushDrop--> carryOut()
//        <--sourceFailed, completed, failed------ steps of the World
//
// As in the shell: one stripe comes from each source; limits::kPushSlots takers are served at once;
// takers that wait get signs of life; a source that breaks off after it gave something is dialled
// once more; one that is silent for limits::kPushSilence, or gives nothing for as long as the core
// says, is given up. A host sends `uploadBytesPerSecond`, one chunk at a time, in turn to each
// taker. It differs in that a push is one file, whose list needs no request of its own.
//
// A peer's conduct says how it misbehaves. What it has on its disk outlives the Desk.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "peer/core/push_jobs.h"
#include "peer/core/push_policy.h"
#include "peer/core/push_sources.h"
#include "tests/simulation/push_words.h"

namespace espalier::simulation {

class World;
using NodeId = std::size_t;

// How a peer treats pushes.
struct Conduct {
  peer::PushPolicy accepts;
  bool lies = false;    // one chunk of four that it gives is another one, and some lists
  bool hoards = false;  // it gives nothing, but signs of life
  bool diskFails = false;
};

using Disk = std::map<FileRoot, Stored>;

class Desk {
 public:
  Desk(World& world, NodeId self) : world_(world), self_(self) {}
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  // This peer's own, which it has.
  void send(const PushId& id, const FileRoot& root) { giving_[id] = root; }
  void carryOut(const peer::PushJob& job);

  // --- of connections for pushes
  void opened(ConnectionId connection);
  void ended(ConnectionId connection);  // or never opened
  void received(ConnectionId connection, const PushWord& word);

 private:
  // A stripe of a push.
  struct Way {
    PushId push;
    std::size_t stripe = 0;
    std::optional<wire::Contact> source;
    Duration patience{};
    ConnectionId connection{};
    std::vector<std::uint32_t> asked;
    std::size_t next = 0;  // of those
    bool gave = false;     // something, since it was dialled
    TimePoint heard{};     // anything
    TimePoint answered{};  // the list, or a chunk
  };
  struct Taking {
    FileRoot root;
    std::size_t chunks = 0;
    std::vector<Way> ways;
    bool over = false;
  };
  struct Serving {
    AskForChunks asked;
    std::size_t next = 0;
    bool inTurn = false;  // to be sent a chunk
  };

  Conduct& conduct() const;
  Stored& stored(const FileRoot& root) const;
  bool gives(const FileRoot& root) const;
  Way* wayOver(ConnectionId connection);
  void note(const PushId& id, const std::string& what) const;
  void later(Duration delay, std::function<void()> action);

  void receive(const peer::PushReceive& job);
  void takeFrom(const peer::PushTakeFrom& job);
  void drop(const PushId& id);
  void dial(Way& way);
  void hangUp(Way& way);
  void watch(ConnectionId connection);
  void gaveUp(Way& way, peer::PushTrouble trouble);
  void take(Way& way, const ListIs& word);
  void take(Way& way, const ChunkIs& word);
  void finished(const PushId& id);

  void serve(ConnectionId connection, const AskForChunks& ask);
  void advance(ConnectionId connection, Serving& serving);
  void advanceAll(const FileRoot& root);
  void showLife(ConnectionId connection);
  void sendNext();

  World& world_;
  const NodeId self_;
  std::map<PushId, Taking> taking_;
  std::map<ConnectionId, std::pair<PushId, std::size_t>> takenOver_;  // the stripe
  std::map<PushId, FileRoot> giving_;
  std::map<ConnectionId, Serving> servings_;
  std::deque<ConnectionId> turns_;
  bool sending_ = false;
};

}  // namespace espalier::simulation
