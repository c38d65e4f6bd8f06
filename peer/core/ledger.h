// The ledger of one push: an entry for each peer, with its state. Every peer of the network keeps
// one, and all become the same, in whatever order and however often entries travel.
//
//   offered -> accepted -> lost -> failed -> declined -> verified      within a version
//
// Merging takes the greater of two entries about a peer (wire::PushEntry's order: the version
// first), so ledgers are a join-semilattice: merging is commutative, associative and idempotent,
// and nothing in it is counted, so nothing is counted twice. Only the peer itself raises its
// version, when it comes back or has to contradict.
//
// Every peer keeps an entry for every peer, so an entry is small: a record of 32 bytes, the id's
// text and two bytes in a sorted list, some 42 bytes for "s1234" at 10.0.0.1:5001. `via` is an
// index into the same table. A reason, or a host that is not an IPv4 address, costs some 100 bytes
// more.
//
// Invariant: no entry ever becomes smaller. Bounds: limits::kLedgerEntries peers, and as many more
// that others came via and that have no entry; peers beyond that are left out (which of them then
// depends on the order). A liar can say anything of a peer that does not hear it: entries are
// not signed. Does no I/O, not thread-safe; O(log n) an entry to find it, a move of two bytes for
// each that sorts behind it to add it.
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
  // Where a peer is kept: from 0 on, as the ledger hears of them. It stays.
  using Index = std::uint16_t;

  // An entry, borrowed: until the next merge().
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
    // Nothing: the sender's. There need not be an entry.
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

  // Its index, if it says more than before.
  std::optional<Index> merge(const wire::PushEntry& entry);

  std::optional<Entry> find(const PeerId& id) const;
  // Nothing where a peer is kept only because somebody came via it.
  std::optional<Entry> at(Index index) const;
  std::vector<Entry> entries() const;  // by index
  std::size_t size() const { return size_; }
  // All indices are below it.
  std::size_t indices() const { return records_.size(); }
  std::size_t count(wire::PushState state) const {
    return counts_[static_cast<std::size_t>(state)];
  }
  bool operator==(const Ledger& other) const;

 private:
  struct Record {
    JoinOrder order = kNoOrder;
    std::uint32_t hash = 0;     // of the id
    std::uint32_t text = 0;     // of the id: where it begins
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
  // Where it is or belongs in sorted_.
  std::vector<Index>::const_iterator lowerBound(std::string_view id, std::uint32_t hash) const;
  bool isAt(std::vector<Index>::const_iterator where, std::string_view id) const;
  std::optional<Index> indexOf(std::string_view id) const;
  // Adds it unless it is there; nothing: all indices are taken.
  std::optional<Index> addIndex(std::string_view id);
  // The same for the entry's `via`; nowhere if it has none.
  std::optional<Index> viaOf(const wire::PushEntry& entry, const std::optional<Entry>& known);

  std::deque<Record> records_;  // by index
  std::vector<char> texts_;     // of ids, each behind a byte that says how long it is
  std::vector<Index> sorted_;   // by hash, then by id: texts are seldom compared
  std::map<Index, std::string> hosts_;
  std::map<Index, std::string> reasons_;
  std::size_t size_ = 0;  // entries
  std::array<std::size_t, 6> counts_{};
};

// Some indices of a ledger: a bit each.
class LedgerIndexSet {
 public:
  void insert(Ledger::Index index);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Ledger::Index first() const;  // not of an empty one
  void eraseFirst();

 private:
  std::size_t from_ = 0;  // the first word that has a bit, unless empty
  std::size_t size_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace espalier::peer
