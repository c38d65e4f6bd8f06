// Who is master, decided by etcd: one metaserver's side of it. It is a candidate under a lease of
// its own, takes the master's key if nobody holds it and the election names this one, and writes
// what it promises in transactions that compare that key.
//
//   no lease --granted--> lease --own key written--> candidate --Txn: no master's key--> master
//      ^                    |                           |  ^                               |
//      |                    |                           |  +------- handOver(), drains ----+
//      +--------------------+---------------------------+--- the lease ends, is refused ---+
//
// candidate_keys.h has the keys of that; the caller promises others: ids/ID, ports/HOST:PORT,
// orders.
//
// Rules:
//
//   - A lease counts from when its grant or renewal was sent, without its last part (lease.h).
//     Every event first looks whether that has passed, also after this process stood still: then
//     mastership is lost before anything else is done. A lost lease is never taken up again: it is
//     revoked, and everything begins with a new one.
//   - While the master's key is there, nobody takes it. A better candidate does not take over by
//     itself: the caller, who knows which candidates it is linked to, calls handOver().
//   - One that drains takes nothing.
//   - The answer to a transaction may be lost. So the master's key under the own lease, seen by
//     reading or watching, is as good as the answer, unless it was given up.
//   - A name that another living candidate has is not taken: trouble() says so.
//
// The epoch is (how often the master's key was taken, number 0): a key that the transaction that
// takes it counts up, and compares (candidate_keys.h). So no two masterships have one number, and a
// later one has a higher one. An epoch's counter has 23 bits; etcd's revisions, which rise with
// every write of anybody there, do not fit. After limits::kEpochCounter masterships, and if the key
// is not that of a metaserver, nobody takes the key, and trouble() says so.
//
// What holds: with an etcd that keeps its leases at least as long as granted, and clocks that
// differ by less than limits::kEtcdLeaseMargin in a lease, no two metaservers have isMaster() at
// one moment. etcd 3.4 does not always do that: a stalled leader may revoke living leases, or
// confirm renewals that its successor does not know. What always holds: no transaction of an older
// master succeeds after one of a newer master.
//
// Does no I/O. Not thread-safe. Carry out the events of an effect before its requests.
// O(candidates) an event.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "metaserver/core/cluster/candidate_keys.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/core/cluster/etcd_messages.h"
#include "metaserver/core/cluster/lease.h"
#include "metaserver/core/cluster/promises.h"

namespace espalier::metaserver::cluster {

// --- what the caller is told
struct Won {
  Epoch epoch;
};
struct Lost {
  Epoch epoch;
  std::string why;  // printable
};
// The master when it changes: this metaserver itself at once, others as etcd has them.
struct MasterSeen {
  std::optional<Candidate> master;
  Epoch epoch;  // of its mastership
};
struct PageRead {
  std::uint64_t number = 0;  // the caller's
  Result<etcd::Ranged> page;
};
// What keeps this metaserver from being a candidate or master; empty when it is over.
struct TroubleChanged {
  std::string text;  // printable
};
// After leave(): the lease is revoked, or etcd did not answer.
struct Left {};

using MastershipEvent =
    std::variant<Won, Lost, MasterSeen, Promised, PageRead, TroubleChanged, Left>;

struct EtcdEffects {
  std::vector<MastershipEvent> events;  // first
  std::vector<etcd::Request> requests;  // in this order
};

class Mastership {
 public:
  struct Config {
    Candidate self;  // `appointed` is not used
    ElectionRule rule{};
    std::string prefix = "/espalier/";
    CandidateCodec codec;
  };

  Mastership(Config config, TimePoint now);

  // --- events
  void answered(const etcd::Answer& answer, TimePoint now, EtcdEffects& fx);
  void tick(TimePoint now, EtcdEffects& fx);
  TimePoint deadline() const;
  // What others see of this candidate. One that drains hands mastership over.
  void setPeers(std::uint32_t peers, bool drains, TimePoint now, EtcdEffects& fx);
  // Gives mastership up; `heir` may take it, else the rule decides. Nothing if it is not master.
  void handOver(std::optional<ServerName> heir, TimePoint now, EtcdEffects& fx);
  // Ends candidacy and mastership. Nothing is done afterwards.
  void leave(TimePoint now, EtcdEffects& fx);

  // --- promises, answered by Promised with the same number, which may be in these effects. Keys
  // are whole ones: key("ids/ann").
  void promise(std::uint64_t number, std::vector<etcd::Operation> operations, TimePoint now,
               EtcdEffects& fx);
  // The keys behind `part` ("ids/"), limits::kEtcdPageKeys at a time: from `after`, a whole key,
  // on (empty: from the first), at that revision (0: the newest). Answered by PageRead once. A new
  // master reads after Won, so nothing of an older one comes later.
  void readPage(std::uint64_t number, std::string_view part, std::string_view after,
                etcd::Revision at, TimePoint now, EtcdEffects& fx);

  // --- queries
  bool isMaster(TimePoint now) const { return master_ != 0 && lease_.lives(now); }
  // Of this one's mastership.
  std::optional<Epoch> epoch() const { return master_ ? std::optional(epoch_) : std::nullopt; }
  // The revision in which this one's mastership began; 0: it has none.
  etcd::Revision mastership() const { return master_; }
  const std::optional<Candidate>& master() const { return seen_; }
  // That live, as etcd has them; by name.
  std::vector<Candidate> candidates() const { return keys_.all(); }
  const std::string& trouble() const { return trouble_; }
  std::string key(std::string_view part) const { return keys_.key(part); }

 private:
  enum class Kind : std::uint8_t { grant, renewal, candidacy, take, give, promise, page, revoke };
  struct Pending {
    Kind kind{};
    TimePoint sentAt;
    std::uint64_t page = 0;  // the caller's number
  };

  void observe(TimePoint now, EtcdEffects& fx);
  void settle(TimePoint now, EtcdEffects& fx);
  void send(Kind kind, decltype(etcd::Request::what) what, TimePoint now, EtcdEffects& fx,
            std::uint64_t page = 0);
  bool isPending(Kind kind) const;
  std::size_t pending(Kind kind) const;

  void settleLease(TimePoint now, EtcdEffects& fx);
  void settleCandidacy(TimePoint now, EtcdEffects& fx);
  void settleMastership(TimePoint now, EtcdEffects& fx);
  void settlePromises(TimePoint now, EtcdEffects& fx);
  void settleSeen(TimePoint now, EtcdEffects& fx);
  std::string troubleNow(TimePoint now) const;

  void take(TimePoint now, EtcdEffects& fx);
  void give(TimePoint now, EtcdEffects& fx);
  bool isElected(TimePoint now);
  void won(etcd::Revision created, std::optional<std::uint32_t> number, EtcdEffects& fx);
  void endMastership(std::string why, EtcdEffects& fx);
  void dropLease(std::string why, TimePoint now, EtcdEffects& fx);
  void answeredOwn(const Pending& pending, const etcd::Answer& answer, TimePoint now,
                   EtcdEffects& fx);
  void failed(const Pending& pending, const std::string& why, TimePoint now, EtcdEffects& fx);

  Config config_;
  EtcdNumbers numbers_;
  std::map<std::uint64_t, Pending> pending_;
  CandidateKeys keys_;
  Promises promises_;
  Lease lease_;
  TimePoint now_;      // of the latest event
  TimePoint leaseAt_;  // of the grant of lease_: what was read before does not count
  TimePoint grantAt_;  // times before which something is not sent (again)
  TimePoint renewAt_;
  TimePoint candidacyAt_;
  TimePoint takeAt_;
  TimePoint giveAt_;
  TimePoint promiseAt_;
  etcd::Revision master_ = 0;  // the mastership that is held; 0: none
  Epoch epoch_;                // of it
  std::uint32_t taken_ = 0;    // the number in the latest transaction that takes it
  etcd::Revision given_ = 0;   // the highest mastership that was given up
  std::optional<ServerName> heir_;
  std::optional<Candidate> seen_;
  etcd::Revision seenAt_ = 0;
  std::string failure_;  // of the last request that failed since the lease was renewed
  std::string promiseFailure_;
  std::string trouble_;
  bool hasLeft_ = false;
};

}  // namespace espalier::metaserver::cluster
