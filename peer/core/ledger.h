// The ledger of one push: an entry for each peer, with its state. Every peer keeps a ledger. All
// ledgers become equal, in whatever order and however often entries are received.
//
//   offered -> accepted -> lost -> failed -> declined -> verified      within a version
//
// merge() keeps the greater of two entries about a peer; wire::PushEntry defines the order, in
// which the version comes first. So ledgers form a join-semilattice: merging is commutative,
// associative and idempotent. Only the peer itself raises the version of its entry
// (OpenPush::answerTo).
//
// Memory: every peer keeps an entry for every peer, so an entry is small. It is a record of
// 32 bytes, the text of the id, and two bytes in a sorted list: some 42 bytes for "s1234" at
// 10.0.0.1:5001. `via` is an index into the same table. A reason costs some 100 bytes more, and so
// does a host that is not an IPv4 address.
//
// Invariant: no entry ever becomes smaller.
//
// Bounds: limits::kLedgerEntries entries, and as many indices for peers that are named only as
// `via`, so these take no index from a peer with an entry. Further peers are left out. Which peers
// these are depends on the order of arrival. Entries are not signed: who may say what about whom is
// decided by Pushes.
//
// Owned by OpenPush. Does no I/O, not thread-safe. find() costs O(log n). Adding a peer moves two
// bytes for each peer that sorts behind it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/push.h"

namespace espalier::peer {

class Ledger {
  struct Record;

 public:
  // Identifies a peer in this ledger. Indices count from 0 in the order in which the ledger heard
  // of the peers. An index never changes.
  using Index = std::uint16_t;

  // A reference to an entry. The next merge() invalidates it.
  class Entry {
   public:
    Index index() const { return index_; }
    std::string_view idText() const { return ledger_->textAt(record().text); }
    PeerId id() const { return ledger_->idAt(index_); }
    wire::Contact contact() const;
    JoinOrder order() const { return record().order; }
    std::uint32_t version() const { return record().version; }
    wire::PushState state() const { return record().state; }
    bool late() const { return record().late; }
    // Nothing for the sender. The peer at this index need not have an entry.
    std::optional<Index> via() const;
    std::string reason() const;
    wire::PushEntry whole() const;

   private:
    friend class Ledger;
    Entry(const Ledger& ledger, Index index) : ledger_(&ledger), index_(index) {}
    const Record& record() const { return ledger_->records_[index_]; }

    const Ledger* ledger_;
    Index index_;
  };

  // The entry's index if the entry is greater than the known one.
  std::optional<Index> merge(const wire::PushEntry& entry);
  // Whether it is, or its peer has no entry.
  bool isNews(const wire::PushEntry& entry) const;

  std::optional<Entry> find(const PeerId& id) const;
  // Nothing if the peer has no entry and is only named as `via`.
  std::optional<Entry> at(Index index) const;
  std::vector<Entry> entries() const;  // by index
  std::size_t size() const { return size_; }
  // All indices are below this number.
  std::size_t indices() const { return records_.size(); }
  std::size_t count(wire::PushState state) const {
    return counts_[static_cast<std::size_t>(state)];
  }
  bool operator==(const Ledger& other) const;

 private:
  struct Record {
    JoinOrder order = kNoOrder;
    std::uint32_t hash = 0;     // of the id
    std::uint32_t text = 0;     // offset of the id in texts_
    std::uint32_t address = 0;  // IPv4; unless the index is in hosts_
    std::uint32_t version = 0;
    std::uint16_t port = 0;
    Index via = kNowhere;
    wire::PushState state = wire::PushState::offered;
    bool late = false;
    bool known = false;  // there is an entry
  };
  static_assert(sizeof(Record) == 32);
  static constexpr Index kNowhere = 0xffff;

  std::string_view textAt(std::uint32_t text) const;
  PeerId idAt(Index index) const { return *PeerId::parse(textAt(records_[index].text)); }
  // The position in sorted_ where the id is or would be inserted.
  std::vector<Index>::const_iterator lowerBound(std::string_view id, std::uint32_t hash) const;
  bool isAt(std::vector<Index>::const_iterator where, std::string_view id) const;
  std::optional<Index> indexOf(std::string_view id) const;
  // The id's index, added if it was missing. Nothing: all indices are taken.
  std::optional<Index> addIndex(std::string_view id);
  // The same for the entry's `via`; kNowhere if the entry has none.
  std::optional<Index> viaOf(const wire::PushEntry& entry, const std::optional<Entry>& known);

  std::deque<Record> records_;  // by index
  std::vector<char> texts_;     // ids, each after a byte with its length
  std::vector<Index> sorted_;   // by hash, then by id, so texts are seldom compared
  std::map<Index, std::string> hosts_;
  std::map<Index, std::string> reasons_;
  std::size_t size_ = 0;  // entries
  std::array<std::size_t, 6> counts_{};
};

// A set of indices of a ledger, as a bitmap.
class LedgerIndexSet {
 public:
  void insert(Ledger::Index index);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Ledger::Index first() const;  // the set must not be empty
  void eraseFirst();

 private:
  std::size_t from_ = 0;  // the first word with a bit set, unless the set is empty
  std::size_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace espalier::peer
