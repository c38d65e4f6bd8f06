// A copy of the master's directory at every other metaserver. It begins with a snapshot in pages
// and goes on with deltas (publication.h). Whoever asks for members is answered from it, and a new
// master begins with it.
//
//            a message of a master                 the last page
//   empty -------------------------> filling ----------------------> current
//     ^  <-----------------------------+  <----------------------------+
//       a newer epoch                     the deltas that it lacks are not kept any more,
//                                         or what it has does not agree with a digest
//
// **What can be read is always the whole directory as its master had it at version()**, confirmed
// by count and digest: a delta is applied only if the digest after it is the one that it names, and
// a snapshot is filled beside it and replaces it when it is complete. So a metaserver that begins
// again, or follows a new master, answers from what it had until it has all.
//
// A pull is sent when something is missing: a gap in the sequence, a Position beyond what it has,
// the end of an answer that was not the rest. One is under way at a time; it is over with the
// Position that ends its answer, or after limits::kPullTimeout without a page. An answer that
// brought something is followed by the next pull at once; after one that did not, after a time-out,
// and after a refused message comes a backoff. Pulls tell where this replica is, so a lost message
// costs its repetition only.
//
// Refused is what no directory can have (Directory::check), or does not lead to the count and the
// digest that it names. A message that is refused changes nothing, and is pulled again. If what
// comes then is refused, too, what this replica has may be wrong: it pulls a snapshot. What does
// not follow what it has is no fault, and is ignored: repeated, late or early messages. So is what
// has an older epoch than the newest that was seen. Epochs count from 1.
//
// The caller passes messages of metaservers of the cluster only; these are trusted to name their
// epoch. Messages of one master must arrive in order for a pull to go through; if they do not, it
// only takes longer.
//
// Invariants: filling_ is the directory at its version, cut at `covered`; while it is there, deltas
// are for it. At most two directories are held, of limits::kMembers each.
//
// Does no I/O. Not thread-safe. A message costs O(log n + its bytes) a row; the last page of a
// snapshot also O(n), to free the directory that it replaces. A member with two links takes 430 to
// 670 bytes of memory, by the length of its ids, and twice that while it is filled again.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/registry.h"
#include "metaserver/core/cluster/directory.h"
#include "metaserver/core/cluster/epoch.h"

namespace espalier::metaserver::cluster {

class Replica {
 public:
  enum class State {
    empty,    // it has nothing of the newest epoch, or doubts it
    filling,  // it has some pages of a snapshot; what can be read is older
    current,  // it has the directory of the newest epoch at some sequence
  };
  struct Effects {
    std::vector<wire::Pull> pulls;     // to the master
    std::vector<std::string> notices;  // for the log
  };

  // `random` is borrowed.
  explicit Replica(Random& random) : Replica(random, Directory(), {}) {}
  // Of a metaserver that was the master: it has the directory of that version.
  Replica(Random& random, Directory start, const wire::DirectoryVersion& version,
          bool isAwaiting = false);

  // --- events ---
  void received(wire::DirectoryMessage message, TimePoint now, Effects& fx);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // --- queries ---
  State state() const;
  // The rows by order and by id, the lines of topo.txt, pages of the topology.
  const RegistryCopy& copy() const { return held_.directory.copy(); }
  const Directory& directory() const { return held_.directory; }
  wire::DirectoryVersion version() const {
    return wire::DirectoryVersion{held_.epoch, held_.sequence};
  }
  // Whether newcomers wait for absent members (Registry::awaiting), at that version.
  bool isAwaiting() const { return held_.isAwaiting; }
  // The newest epoch that was seen.
  Epoch epoch() const { return epoch_; }
  // Whether it knows of deltas that it does not have, or has no directory of this epoch.
  bool lacks() const;
  std::uint64_t refusedCount() const { return refused_; }

 private:
  // A directory at a version, cut at an order.
  struct Table {
    Directory directory;
    Epoch epoch;
    std::uint64_t sequence = 0;
    JoinOrder covered = wire::kAllOrders;
    bool isAwaiting = false;
  };
  struct Asked {
    std::uint64_t number;
    TimePoint until;
    std::uint64_t known;      // the highest sequence that was named until then
    bool began = false;       // the first page of a snapshot has come
    bool broughtAny = false;  // something that was missing
  };

  // False: the message is of an older epoch.
  bool takeEpoch(const wire::DirectorySummary& summary);
  void take(wire::Delta delta, TimePoint now, Effects& fx);
  void take(wire::SnapshotPage page, TimePoint now, Effects& fx);
  void take(wire::Position position, TimePoint now, Effects& fx);
  void complete(const wire::DirectorySummary& of, TimePoint now, Effects& fx);
  void refuse(const std::string& why, TimePoint now, Effects& fx);
  void pullIfLacking(TimePoint now, Effects& fx);
  void pauseFrom(TimePoint now) { notBefore_ = now + backoff_.next(random_); }
  // What deltas are for; null: nothing of this epoch.
  const Table* table() const;
  Table* table() { return const_cast<Table*>(std::as_const(*this).table()); }

  Random& random_;
  Table held_;
  std::optional<Table> filling_;
  Epoch epoch_;
  std::uint64_t known_ = 0;  // the highest sequence of this epoch that was named
  bool isDoubted_ = false;   // what it has of this epoch does not lead on: only a snapshot does
  unsigned refusedInARow_ = 0;
  std::uint64_t refused_ = 0;

  std::optional<Asked> asked_;
  std::uint64_t asks_ = 0;
  TimePoint notBefore_ = TimePoint::min();
  Backoff backoff_;
};

}  // namespace espalier::metaserver::cluster
