// Transfers the bytes of pushes for one living peer of a World. It stands for the shell's PushDesk,
// and for the receiver, server and store of peer/transfer.
//
//   core --PushReceive, PushTakeFrom, PushDrop--> carryOut()
//        <--sourceFailed, completed, failed------ steps of the World
//
// It takes each push from the sources that the core names, in order. It verifies every chunk, and
// serves each chunk as soon as it has it.
//
// Like the shell:
//   - each stripe has one source
//   - limits::kPushSlots takers are served at once
//   - takers that wait get keep-alives
//   - a source whose connection ends after it gave a chunk is dialled once more
//   - a source is given up after limits::kPushSilence without a byte, or after the core's patience
//     without a chunk
// Unlike the shell: a push is one file, and its list needs no request.
//
// A host sends `uploadBytesPerSecond`: one chunk at a time, to one taker after the other.
//
// A peer's Conduct says how it misbehaves. The peer's Disk outlives the Desk.
//
// Owned by World::Node. One thread; the World is borrowed.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "peer/core/push_jobs.h"
#include "peer/core/push_policy.h"
#include "peer/core/push_sources.h"
#include "tests/simulation/push_words.h"

namespace espalier::simulation {

class World;
using NodeId = std::size_t;

// What a lying member lies about (liar.h).
enum class Lie { hits, coverage, ledger, offers, attaches, gossip, registry, labels, mute };

// How a peer treats pushes, and what it lies about.
struct Conduct {
  peer::PushPolicy accepts;
  bool spoils = false;  // one chunk in four that it serves is wrong, and some lists
  bool hoards = false;  // it serves nothing and sends keep-alives
  bool diskFails = false;
  std::set<Lie> lies = {};  // empty: it is honest
};

using Disk = std::map<FileRoot, Stored>;

class Desk {
 public:
  Desk(World& world, NodeId self) : world_(world), self_(self) {}
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  // This peer is the sender, and has the file.
  void send(const PushId& id, const FileRoot& root) { giving_[id] = root; }
  void carryOut(const peer::PushJob& job);

  // --- of connections for pushes
  void opened(ConnectionId connection);
  void ended(ConnectionId connection);  // it has ended, or could not be opened
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
    std::size_t next = 0;  // index in `asked` of the next chunk
    bool gave = false;     // the source has served something since it was dialled
    TimePoint heard{};     // the last message
    TimePoint answered{};  // the last list or chunk
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
  // The push and the stripe that are received over a connection.
  std::map<ConnectionId, std::pair<PushId, std::size_t>> takenOver_;
  std::map<PushId, FileRoot> giving_;
  std::map<ConnectionId, Serving> servings_;
  std::deque<ConnectionId> turns_;
  bool sending_ = false;
};

}  // namespace espalier::simulation
