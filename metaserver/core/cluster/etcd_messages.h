// What a metaserver asks etcd, and what etcd answers, as plain values without JSON: the part of
// etcd's API (version 3) that the cores need. metaserver/etcd/ carries it over HTTP.
//
// Each request has a number that is used once. Each but Watch gets one answer of that number: its
// own kind, or Failed. After Failed it is not known whether etcd did it, does it later, or never.
// A Watch replaces the one before it; its answers are any number of Watched, then one WatchEnded.
//
// A revision counts the changes of etcd's whole store, from 1. Ranges are [key, end); an empty end
// means that one key. Values; no bounds here: the shell bounds answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace espalier::metaserver::cluster::etcd {

using Revision = std::int64_t;
enum class LeaseId : std::int64_t {};
inline constexpr LeaseId kNoLease{0};

struct KeyValue {
  std::string key;
  std::string value;
  Revision created = 0;   // when the key came into being; another one after a removal
  Revision modified = 0;  // the latest change
  LeaseId lease = kNoLease;

  bool operator==(const KeyValue&) const = default;
};

// --- requests
struct LeaseGrant {
  std::chrono::seconds ttl{};
};
struct LeaseKeepAlive {
  LeaseId lease{};
};
struct LeaseRevoke {
  LeaseId lease{};
};
struct Range {
  std::string key;
  std::string end;
  Revision at = 0;       // 0: the newest, linearizable
  std::size_t most = 0;  // keys; 0: all
};
struct Compare {
  enum class Field : std::uint8_t { created, modified };
  std::string key;
  Field field = Field::created;
  Revision is = 0;  // 0: there is no such key
};
struct Put {
  std::string key;
  std::string value;
  LeaseId lease = kNoLease;
};
struct Remove {
  std::string key;
};
using Operation = std::variant<Put, Remove>;
// If all compares hold, `then`, at one revision; if not, nothing changes, and `otherwise` is read.
struct Txn {
  std::vector<Compare> compares;
  std::vector<Operation> then;  // no key twice
  std::vector<Range> otherwise;
};
struct Watch {
  std::string key;
  std::string end;
  Revision from = 0;  // the first revision that is told
};

struct Request {
  std::uint64_t number = 0;
  std::variant<LeaseGrant, LeaseKeepAlive, LeaseRevoke, Range, Txn, Watch> what;
};

// --- answers
struct Granted {
  LeaseId lease{};
  std::chrono::seconds ttl{};  // may be longer than asked for
};
struct Renewed {
  std::chrono::seconds ttl{};  // 0: there is no such lease (any more)
};
struct Revoked {};
struct Ranged {
  Revision revision = 0;
  std::vector<KeyValue> keys;  // in their order
  bool more = false;           // beyond Range::most
};
struct TxnDone {
  bool succeeded = false;
  Revision revision = 0;  // if it succeeded, the one of its changes
  std::vector<KeyValue> otherwise;
};
struct Change {
  KeyValue key;  // of a removed one: key and `modified`
  bool isRemoved = false;
};
struct Watched {
  Revision revision = 0;  // all changes up to this one have been told
  std::vector<Change> changes;
};
struct WatchEnded {
  std::string why;  // compacted, the connection broke, ...: read again
};
struct Failed {
  std::string why;  // printable
};

struct Answer {
  std::uint64_t number = 0;
  std::variant<Granted, Renewed, Revoked, Ranged, TxnDone, Watched, WatchEnded, Failed> what;
};

}  // namespace espalier::metaserver::cluster::etcd
