// What a master promises (ids, ports, blocks of orders), written to etcd before anybody is told.
//
//   add() --> waiting --next()--> sent --succeeded--> kept
//                ^                 |  +--the master's key is another one--> notMaster
//                +-- Failed -------+
//
// Each transaction compares the revision in which the master's key was created: once another master
// (or nobody) holds that key, no older one writes. One transaction is under way at a time, with as
// many promises as fit limits::kPromiseOperations.
//
// A transaction whose answer was lost may have been carried out, and may yet be carried out later.
// So each also writes one key of its own (the "written" key), and compares the revision of the last
// such write. It is sent again until it is answered: if the compare fails although the master's key
// is still ours, it had been carried out, because nobody else writes that key. A late repetition
// fails the same compare. So promises are written once and in their order.
//
// When mastership ends, waiting promises have the outcome `notMaster`: they were never sent. The
// outcome of sent ones is `unknown`: a newer master finds out when it reads. They are never carried
// out after its transaction.
//
// Does no I/O. Not thread-safe. O(operations).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::cluster {

enum class PromiseOutcome : std::uint8_t { kept, notMaster, unknown, refused };

struct Promised {
  std::uint64_t number = 0;  // the caller's
  PromiseOutcome outcome{};
};

class Promises {
 public:
  Promises(std::string masterKey, std::string writtenKey)
      : masterKey_(std::move(masterKey)), writtenKey_(std::move(writtenKey)) {}

  // The master's key was created at `mastership`, together with a write of the written key.
  void begin(etcd::Revision mastership);
  void end(std::vector<Promised>& outcomes);

  // Refused (false): no or too many operations, a key twice, a key or value that is too long, or
  // too many waiting ones.
  bool add(std::uint64_t number, std::vector<etcd::Operation> operations);

  // The transaction to be sent now, if none is under way.
  std::optional<etcd::Txn> next();
  // The answer to it. False: the master's key is not ours any more; end() has to follow.
  bool done(const etcd::TxnDone& done, std::vector<Promised>& outcomes);
  void failed() { underWay_ = false; }  // next() has the same transaction again

  bool isIdle() const { return waiting_.empty() && sent_.empty(); }

 private:
  struct Promise {
    std::uint64_t number = 0;
    std::vector<etcd::Operation> operations;
  };

  std::vector<Promise> takeBatch();

  std::string masterKey_;
  std::string writtenKey_;
  etcd::Revision mastership_ = 0;
  etcd::Revision written_ = 0;  // of the written key, by our own last transaction
  std::deque<Promise> waiting_;
  std::size_t waitingOperations_ = 0;
  std::vector<Promise> sent_;  // of the transaction that is under way or to be sent again
  bool underWay_ = false;
};

}  // namespace espalier::metaserver::cluster
