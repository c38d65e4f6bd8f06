#include "common/base/budget.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>
#include <list>
#include <mutex>
#include <set>
#include <span>
#include <vector>

namespace espalier {
namespace {

using limits::Held;
using limits::Rate;

constexpr std::size_t index(auto what) {
  return static_cast<std::size_t>(what);
}

}  // namespace

// What one payer holds, and its buckets. A metaserver has two for each member.
struct Account::Part {
  struct Bucket {
    double tokens = 0;
    TimePoint filledAt;

    void fill(double perSecond, double burst, TimePoint now) {
      const std::chrono::duration<double> passed = std::max(now - filledAt, Duration::zero());
      tokens = std::min(burst, tokens + passed.count() * perSecond);
      filledAt = std::max(filledAt, now);
    }
  };

  explicit Part(Payer who) : payer(std::move(who)) {}

  const Payer payer;
  std::array<std::uint32_t, limits::kHeldKinds> held{};  // a process's bound fits: see Book
  std::uint32_t handles = 0;
  bool isIdle = false;                           // in Book::idle
  std::vector<std::pair<Rate, Bucket>> buckets;  // those that were used
  std::list<Part*>::iterator idle;               // its place there
};

struct Account::Book {
  using Bucket = Part::Bucket;
  struct ByPayer {
    using is_transparent = void;
    bool operator()(const Part& a, const Part& b) const { return a.payer < b.payer; }
    bool operator()(const Part& a, const Payer& b) const { return a.payer < b; }
    bool operator()(const Payer& a, const Part& b) const { return a < b.payer; }
  };

  Book(const limits::HeldBounds& held, const limits::RateBounds& rates)
      : heldBounds(held), rateBounds(rates) {
    for (const auto& bound : held) {
      assert(bound.process <= std::numeric_limits<std::uint32_t>::max());
    }
    for (std::size_t i = 0; i < rates.size(); ++i) all[i].tokens = rates[i].processBurst;
    process.handles = 1;  // it is never idle
  }

  const limits::HeldBounds heldBounds;
  const limits::RateBounds rateBounds;

  mutable std::mutex mutex;  // guards what follows
  std::set<Part, ByPayer> parts;
  std::list<Part*> idle;  // without a handle; the one that was used last is last
  Part process{Payer()};
  std::array<Bucket, limits::kRateKinds> all;  // the process's buckets
  std::array<std::uint64_t, limits::kHeldKinds> refusedHeld{};
  std::array<std::uint64_t, limits::kRateKinds> refusedRate{};
  std::size_t handles = 0;
  std::shared_ptr<Book> self;  // while there are handles

  static std::uint64_t mostOf(const limits::HeldBound& bound, const Payer& payer) {
    if (payer.isProcess()) return bound.process;
    return payer.isLoopback() ? std::min(bound.process, bound.payer * limits::kLoopbackPeers)
                              : bound.payer;
  }
  static double factorOf(const Part& part) {
    return part.payer.isLoopback() ? limits::kLoopbackPeers : 1;
  }

  // These are refilled to `now`. A bucket that was never used is full.
  Bucket& payersBucket(Part& part, Rate what, TimePoint now) {
    const auto& bound = rateBounds[index(what)];
    const double factor = factorOf(part);
    for (auto& [kind, bucket] : part.buckets) {
      if (kind != what) continue;
      bucket.fill(bound.perSecond * factor, bound.burst * factor, now);
      return bucket;
    }
    return part.buckets.emplace_back(what, Bucket{bound.burst * factor, now}).second;
  }
  Bucket& processBucket(Rate what, TimePoint now) {
    const auto& bound = rateBounds[index(what)];
    Bucket& bucket = all[index(what)];
    bucket.fill(bound.processPerSecond, bound.processBurst, now);
    return bucket;
  }

  // Each of the parts, and the process once, or nobody.
  bool spend(std::span<Part* const> payers, Rate what, TimePoint now, double amount) {
    Bucket& whole = processBucket(what, now);
    const bool isEnough =
        whole.tokens >= amount && std::all_of(payers.begin(), payers.end(), [&](Part* part) {
          return part == &process || payersBucket(*part, what, now).tokens >= amount;
        });
    if (!isEnough) {
      ++refusedRate[index(what)];
      return false;
    }
    whole.tokens -= amount;
    for (Part* part : payers) {
      if (part != &process) payersBucket(*part, what, now).tokens -= amount;
    }
    return true;
  }

  void use(Part& part) {
    if (std::exchange(part.isIdle, false)) idle.erase(part.idle);
    ++part.handles;
    ++handles;
  }
  void drop(Part& part) {
    --handles;
    if (--part.handles > 0) return;
    part.idle = idle.insert(idle.end(), &part);
    part.isIdle = true;
    if (idle.size() <= limits::kIdlePayers) return;
    const auto oldest = parts.find(idle.front()->payer);
    idle.pop_front();
    parts.erase(oldest);
  }
};

// --- Account ---

void Account::drop() {
  std::shared_ptr<Book> unused;  // goes after the lock
  const std::lock_guard lock(book_->mutex);
  book_->drop(*part_);
  if (book_->handles == 0) unused = std::move(book_->self);
}

Account::Account(const Account& other) : book_(other.book_), part_(other.part_) {
  if (book_ == nullptr) return;
  const std::lock_guard lock(book_->mutex);
  book_->use(*part_);
}

Payer Account::payer() const {
  return part_ == nullptr ? Payer() : part_->payer;
}

bool Account::take(Held what, std::uint64_t amount) {
  if (book_ == nullptr) return true;
  const std::lock_guard lock(book_->mutex);
  const auto at = index(what);
  const auto& bound = book_->heldBounds[at];
  const auto fits = [&](const Part& part, std::uint64_t most) {
    return part.held[at] <= most && amount <= most - part.held[at];
  };
  if (!fits(book_->process, bound.process) || !fits(*part_, Book::mostOf(bound, part_->payer))) {
    ++book_->refusedHeld[at];
    return false;
  }
  const auto counted = static_cast<std::uint32_t>(amount);  // it is within the process's bound
  book_->process.held[at] += counted;
  if (part_ != &book_->process) part_->held[at] += counted;
  return true;
}

void Account::giveBack(Held what, std::uint64_t amount) {
  if (book_ == nullptr) return;
  const std::lock_guard lock(book_->mutex);
  const auto counted = static_cast<std::uint32_t>(amount);
  book_->process.held[index(what)] -= counted;
  if (part_ != &book_->process) part_->held[index(what)] -= counted;
}

std::uint64_t Account::held(Held what) const {
  if (book_ == nullptr) return 0;
  const std::lock_guard lock(book_->mutex);
  return part_->held[index(what)];
}

bool Account::hasRoom(Held what, std::uint64_t amount) const {
  if (book_ == nullptr) return true;
  const std::lock_guard lock(book_->mutex);
  const auto most = Book::mostOf(book_->heldBounds[index(what)], part_->payer);
  return part_->held[index(what)] <= most && amount <= most - part_->held[index(what)];
}

void Account::moveTo(const Account& account, Held what, std::uint64_t amount) const {
  assert(account.book_ == book_);
  if (book_ == nullptr) return;
  const std::lock_guard lock(book_->mutex);
  const auto* const process = &book_->process;
  const auto counted = static_cast<std::uint32_t>(amount);
  if (part_ != process) part_->held[index(what)] -= counted;
  if (account.part_ != process) account.part_->held[index(what)] += counted;
}

bool Account::spend(Rate what, TimePoint now, double amount) {
  if (book_ == nullptr) return true;
  const std::lock_guard lock(book_->mutex);
  return book_->spend(std::span(&part_, 1), what, now, amount);
}

bool Account::spend(std::initializer_list<Account> payers, Rate what, TimePoint now,
                    double amount) {
  std::vector<Part*> parts;
  Book* book = nullptr;
  for (const auto& payer : payers) {
    if (payer.book_ == nullptr) continue;
    book = payer.book_;
    parts.push_back(payer.part_);
  }
  if (book == nullptr) return true;
  const std::lock_guard lock(book->mutex);
  return book->spend(parts, what, now, amount);
}

void Account::owe(Rate what, TimePoint now, double amount) {
  if (book_ == nullptr) return;
  const std::lock_guard lock(book_->mutex);
  const auto& bound = book_->rateBounds[index(what)];
  const auto pay = [&](Part::Bucket& bucket, double burst) {
    bucket.tokens = std::clamp(bucket.tokens - amount, -burst, burst);
  };
  pay(book_->processBucket(what, now), bound.processBurst);
  if (part_ == &book_->process) return;
  const double factor = Book::factorOf(*part_);
  pay(book_->payersBucket(*part_, what, now), bound.burst * factor);
}

TimePoint Account::affordableAt(Rate what, TimePoint now, double amount) const {
  if (book_ == nullptr) return now;
  const std::lock_guard lock(book_->mutex);
  const auto& bound = book_->rateBounds[index(what)];
  const auto wait = [&](const Part::Bucket& bucket, double perSecond) {
    if (bucket.tokens >= amount) return Duration::zero();
    constexpr double kLongest = 1e9;  // so that it can be told as a Duration
    const auto seconds = std::min((amount - bucket.tokens) / perSecond, kLongest);
    // Rounded up: who comes early is refused.
    return Duration(std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6) + 1));
  };
  Duration longest = wait(book_->processBucket(what, now), bound.processPerSecond);
  if (part_ != &book_->process) {
    const double factor = Book::factorOf(*part_);
    longest =
        std::max(longest, wait(book_->payersBucket(*part_, what, now), bound.perSecond * factor));
  }
  return now + longest;
}

// --- Budget ---

Budget::Budget(const limits::HeldBounds& held, const limits::RateBounds& rates)
    : book_(std::make_shared<Account::Book>(held, rates)) {}

Account Budget::account(const Payer& payer) {
  const std::lock_guard lock(book_->mutex);
  Account::Part* part = &book_->process;
  if (!payer.isProcess()) {
    auto place = book_->parts.lower_bound(payer);
    if (place == book_->parts.end() || place->payer != payer) {
      place = book_->parts.emplace_hint(place, payer);
    }
    part = const_cast<Account::Part*>(&*place);  // its payer is const
  }
  book_->use(*part);
  if (!book_->self) book_->self = book_;
  return {*book_, *part};
}

std::uint64_t Budget::held(Held what) const {
  const std::lock_guard lock(book_->mutex);
  return book_->process.held[index(what)];
}

std::uint64_t Budget::refused(Held what) const {
  const std::lock_guard lock(book_->mutex);
  return book_->refusedHeld[index(what)];
}

std::uint64_t Budget::refused(Rate what) const {
  const std::lock_guard lock(book_->mutex);
  return book_->refusedRate[index(what)];
}

std::size_t Budget::payers() const {
  const std::lock_guard lock(book_->mutex);
  return book_->parts.size();
}

// --- Hold ---

bool Hold::resize(std::uint64_t amount) {
  if (amount > amount_) {
    if (!account_.take(what_, amount - amount_)) return false;
  } else if (amount < amount_) {
    account_.giveBack(what_, amount_ - amount);
  }
  amount_ = amount;
  return true;
}

void Hold::moveTo(const Account& account) {
  account_.moveTo(account, what_, amount_);
  account_ = account;
}

}  // namespace espalier
