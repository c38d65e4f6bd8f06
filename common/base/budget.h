// What others may cost this process: bytes, connections, searches, dials, lines of the log. One
// object a process. Each queue and table that others can fill, and each act that others can cause,
// asks it first.
//
// Whoever causes a cost is its payer: the address that a connection comes from, until a member is
// admitted on it; from then on the member. There are two kinds of costs:
//
//   Held    taken and given back, such as memory. Bounded for each payer, and for the process
//   Rate    spent, such as dials. A token bucket for each payer, and one for the process
//
// So a payer that uses up its own part takes nothing from another payer. The bounds are in limits.h
// (kHeldBounds, kRateBounds). On loopback all peers have one address. Therefore that address has
// the part of limits::kLoopbackPeers peers.
//
// Invariants: no payer holds more than its bound, and all together not more than the process's,
// but for what Hold::moveTo() moves. What is given back was taken before. A payer's buckets are
// remembered while it holds anything or has a handle, and afterwards among the last
// limits::kIdlePayers: who reconnects gets no full bucket.
//
// Thread-safe. Does no I/O; the time is handed in, so cores use it, too. A call costs one
// uncontended mutex and O(1); Budget::account() O(log payers). Owned by main(), or by a simulated
// process; handed on as shared_ptr, because threads of transfers may outlive the loop.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/payer.h"

namespace espalier {

// A payer's part of a budget. A cheap handle: copies are of one part.
class Account {
 public:
  Account() = default;  // of no budget: everything is allowed
  ~Account() {
    if (book_ != nullptr) drop();
  }
  Account(const Account& other);
  Account(Account&& other) noexcept
      : book_(std::exchange(other.book_, nullptr)), part_(std::exchange(other.part_, nullptr)) {}
  Account& operator=(Account other) noexcept {
    std::swap(book_, other.book_);
    std::swap(part_, other.part_);
    return *this;
  }

  Payer payer() const;

  // False: it is over one of the bounds. Then nothing is taken, and the refusal is counted.
  [[nodiscard]] bool take(limits::Held what, std::uint64_t amount = 1);
  void giveBack(limits::Held what, std::uint64_t amount = 1);
  std::uint64_t held(limits::Held what) const;  // by this payer
  // Whether the payer's own bound allows so much more. The process's may not.
  bool hasRoom(limits::Held what, std::uint64_t amount) const;
  // Another payer holds the amount from now on. Always succeeds.
  void moveTo(const Account& account, limits::Held what, std::uint64_t amount) const;

  // Spends from the payer's bucket and the process's. False: one of them has not so much. Then
  // nothing is spent, and the refusal is counted.
  [[nodiscard]] bool spend(limits::Rate what, TimePoint now, double amount = 1);
  // The same for an act of which several payers each pay all: the process pays once.
  [[nodiscard]] static bool spend(std::initializer_list<Account> payers, limits::Rate what,
                                  TimePoint now, double amount = 1);
  // An act that was paid has cost so much more than was spent for it; less, if it is negative.
  // Always succeeds. A bucket owes at most as much as it can hold.
  void owe(limits::Rate what, TimePoint now, double amount);
  // When spend() may return true, if nobody else spends; `now` if it would at once.
  TimePoint affordableAt(limits::Rate what, TimePoint now, double amount = 1) const;

 private:
  friend class Budget;
  friend class Hold;
  struct Book;
  struct Part;
  Account(Book& book, Part& part) : book_(&book), part_(&part) {}
  void drop();

  // There are two of them for each member of a metaserver, so they are small.
  Book* book_ = nullptr;  // lives as long as this
  Part* part_ = nullptr;
};

class Budget {
 public:
  Budget() : Budget(limits::kHeldBounds, limits::kRateBounds) {}
  Budget(const limits::HeldBounds& held, const limits::RateBounds& rates);

  Account account(const Payer& payer);

  // By all payers.
  std::uint64_t held(limits::Held what) const;
  // How often a payer was refused since the start.
  std::uint64_t refused(limits::Held what) const;
  std::uint64_t refused(limits::Rate what) const;
  // The number of payers that are remembered.
  std::size_t payers() const;

 private:
  std::shared_ptr<Account::Book> book_;
};

// An amount that is given back when this is destroyed.
class Hold {
 public:
  Hold() = default;
  // Holds nothing yet.
  Hold(Account account, limits::Held what) : account_(std::move(account)), what_(what) {}
  ~Hold() { release(); }
  Hold(Hold&& other) noexcept { swap(other); }
  Hold& operator=(Hold&& other) noexcept {
    Hold moved(std::move(other));
    swap(moved);
    return *this;
  }

  // False: the bounds do not allow so much. Then the amount stays what it was. Less is always
  // allowed.
  [[nodiscard]] bool resize(std::uint64_t amount);
  void release() { (void)resize(0); }
  std::uint64_t amount() const { return amount_; }
  const Account& account() const { return account_; }
  // Another payer pays from now on: a member was admitted on the connection. Always succeeds, so a
  // payer may be above its bound afterwards, and can take nothing more.
  void moveTo(const Account& account);

 private:
  void swap(Hold& other) noexcept {
    std::swap(account_, other.account_);
    std::swap(what_, other.what_);
    std::swap(amount_, other.amount_);
  }

  Account account_;
  limits::Held what_{};
  std::uint64_t amount_ = 0;
};

}  // namespace espalier
