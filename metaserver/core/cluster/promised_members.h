// The members of a network as a master promises them to etcd: what has to be written for each
// change of the directory, and what a new master has read. The keys, behind the prefix:
//
//   ids/ID            KEY ORDER HOST:PORT   KEY: the instance key, 32 hexadecimal digits
//   ports/HOST:PORT   ID
//   orders            the last order of joining that may have been given
//   network           the network's id, 32 hexadecimal digits
//
//   unknown --a row--> written --its row is gone, its id is free--> removed
//                         | ^---- it comes back ----+
//                         +--its id is held for it--> held --not any more--> removed
//
// So an id and a port stay taken while their peer may still live, also for a new master.
//
// Does no I/O. Not thread-safe. Owned by the coordinator. O(log n) a row; sweep() O(held).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/registry.h"
#include "metaserver/core/absent_members.h"
#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::cluster {

// What a new master finds in etcd.
struct EtcdDirectory {
  std::map<PeerId, Remembered> members;
  JoinOrder ordersUpTo = kNoOrder;
  std::optional<wire::NetworkId> network;
};

// Adds a key that was read, without the prefix; an error of code `protocol` if nobody of this
// program has written it.
Result<void> readKey(std::string_view part, std::string_view value, EtcdDirectory& into);

class PromisedMembers {
 public:
  using Operations = std::vector<etcd::Operation>;
  using IsHeld = std::function<bool(const PeerId&)>;

  PromisedMembers(std::string prefix, const EtcdDirectory& written);

  // What makes etcd follow the delta.
  void follow(const wire::Delta& delta, const IsHeld& isHeld, Operations& operations);
  // Removes those whose ids are not held any more.
  void sweep(const IsHeld& isHeld, Operations& operations);
  etcd::Operation orders(JoinOrder upTo) const;
  etcd::Operation network(const wire::NetworkId& network) const;

  bool has(const wire::DirectoryRow& row) const;
  std::size_t size() const { return byId_.size(); }

 private:
  void remove(const PeerId& id, Operations& operations);
  void claimPort(const Remembered& member, Operations& operations);
  void releasePort(const Remembered& member, Operations& operations);
  std::string idKey(const PeerId& id) const { return prefix_ + "ids/" + id.text(); }
  std::string portKey(const Endpoint& endpoint) const {
    return prefix_ + "ports/" + endpoint.text();
  }

  std::string prefix_;
  std::map<PeerId, Remembered> byId_;
  std::map<JoinOrder, PeerId> byOrder_;
  // Who has a port: one, or also somebody who was away when another one got it. The key is of the
  // last one.
  std::map<Endpoint, std::vector<PeerId>> ports_;
  std::set<PeerId> held_;
};

}  // namespace espalier::metaserver::cluster
