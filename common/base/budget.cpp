#include "common/base/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <chrono>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace espalier {
namespace {

using limits::Held;
using limits::Rate;

constexpr std::size_t index(auto what) {
  return static_cast<std::size_t>(what);
}

using Groups = std::array<std::uint16_t, 8>;

// Appends the groups of `text`, a part of an IPv6 address without "::", from `at` on; returns where
// they end.
std::size_t readGroups(std::string_view text, Groups& groups, std::size_t at) {
  while (!text.empty() && at < groups.size()) {
    const auto part = text.substr(0, text.find(':'));
    if (part.find('.') != std::string_view::npos) {  // an IPv4 address at the end
      std::uint32_t address = 0;
      for (auto rest = part; !rest.empty();) {
        const auto byte = rest.substr(0, rest.find('.'));
        unsigned value = 0;
        std::from_chars(byte.data(), byte.data() + byte.size(), value);
        address = address << 8 | value;
        rest.remove_prefix(std::min(rest.size(), byte.size() + 1));
      }
      groups[at++] = static_cast<std::uint16_t>(address >> 16);
      if (at < groups.size()) groups[at++] = static_cast<std::uint16_t>(address);
    } else {
      std::from_chars(part.data(), part.data() + part.size(), groups[at++], 16);
    }
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return at;
}

// Of an IPv6 address that isHost() accepts.
Groups groupsOf(std::string_view text) {
  Groups groups{};
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    readGroups(text, groups, 0);
    return groups;
  }
  readGroups(text.substr(0, gap), groups, 0);
  Groups behind{};
  const auto count = readGroups(text.substr(gap + 2), behind, 0);
  std::copy_n(behind.begin(), count, groups.end() - static_cast<std::ptrdiff_t>(count));
  return groups;
}

std::string lowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// One text for all spellings of a host; of an IPv6 address only the first 64 bits if not `isWhole`.
// Of an address that stands for an IPv4 one: that one.
std::string canonical(std::string_view host, bool isWhole, bool& loopback) {
  host = host.substr(0, host.find('%'));
  if (!isHost(host) || host.find(':') == std::string_view::npos) {
    // A local (Unix) socket has no host.
    const bool isV4 = host.find_first_not_of("0123456789.") == std::string_view::npos;
    loopback = host.empty() || host == "localhost" || (isV4 && host.starts_with("127."));
    return lowerCase(host);
  }
  const Groups groups = groupsOf(host);
  const bool low = std::all_of(groups.begin(), groups.begin() + 5, [](auto g) { return g == 0; });
  if (low && groups[5] == 0xffff) {
    loopback = groups[6] >> 8 == 127;
    return fmt::format("{}.{}.{}.{}", groups[6] >> 8, groups[6] & 0xff, groups[7] >> 8,
                       groups[7] & 0xff);
  }
  loopback = low && groups[5] == 0 && groups[6] == 0 && groups[7] == 1;
  if (loopback) return "::1";
  if (!isWhole) return fmt::format("{:x}::/64", fmt::join(groups.begin(), groups.begin() + 4, ":"));
  return fmt::format("{:x}", fmt::join(groups, ":"));
}

}  // namespace

Payer Payer::host(std::string_view host) {
  Payer payer;
  payer.key_ = "h" + canonical(host, false, payer.loopback_);
  return payer;
}

Payer Payer::machine(std::string_view host) {
  Payer payer;
  payer.key_ = "t" + canonical(host, true, payer.loopback_);
  return payer;
}

Payer Payer::member(const PeerId& id) {
  Payer payer;
  payer.key_ = "m" + id.text();
  return payer;
}

Payer Payer::endpoint(const Endpoint& endpoint) {
  Payer payer;
  payer.key_ = "e" + machine(endpoint.host).key_.substr(1) + ":" + std::to_string(endpoint.port);
  return payer;
}

std::string Payer::text() const {
  return isProcess() ? "this process" : key_.substr(1);
}

// What one payer holds, and its buckets.
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

  Payer payer;
  std::array<std::uint64_t, limits::kHeldKinds> held{};
  std::vector<std::pair<Rate, Bucket>> buckets;  // those that were used
  std::size_t handles = 0;
  std::optional<std::list<Part*>::iterator> idle;  // its place there
};

struct Account::Book {
  Book(const limits::HeldBounds& held, const limits::RateBounds& rates)
      : heldBounds(held), rateBounds(rates) {
    process.handles = 1;  // it is never idle
  }

  const limits::HeldBounds heldBounds;
  const limits::RateBounds rateBounds;

  mutable std::mutex mutex;  // guards what follows
  std::map<Payer, Part> parts;
  std::list<Part*> idle;  // without a handle; the one that was used last is last
  Part process;
  std::array<std::uint64_t, limits::kHeldKinds> refusedHeld{};
  std::array<std::uint64_t, limits::kRateKinds> refusedRate{};

  static std::uint64_t mostOf(const limits::HeldBound& bound, const Payer& payer) {
    if (payer.isProcess()) return bound.process;
    return payer.isLoopback() ? std::min(bound.process, bound.payer * limits::kLoopbackPeers)
                              : bound.payer;
  }

  // `refilled` to `now`. A bucket that was never used is full.
  Part::Bucket& bucket(Part& part, Rate what, double perSecond, double burst, TimePoint now) {
    const auto place = std::find_if(part.buckets.begin(), part.buckets.end(),
                                    [&](const auto& each) { return each.first == what; });
    if (place == part.buckets.end()) {
      return part.buckets.emplace_back(what, Part::Bucket{burst, now}).second;
    }
    place->second.fill(perSecond, burst, now);
    return place->second;
  }
  Part::Bucket& payersBucket(Part& part, Rate what, TimePoint now) {
    const auto& bound = rateBounds[index(what)];
    const double factor = part.payer.isLoopback() ? limits::kLoopbackPeers : 1;
    return bucket(part, what, bound.perSecond * factor, bound.burst * factor, now);
  }
  Part::Bucket& processBucket(Rate what, TimePoint now) {
    const auto& bound = rateBounds[index(what)];
    return bucket(process, what, bound.processPerSecond, bound.processBurst, now);
  }

  // Each of the parts, and the process once, or nobody.
  bool spend(std::span<Part* const> payers, Rate what, TimePoint now, double amount) {
    const auto owners = [&](auto&& each) {
      for (Part* part : payers) {
        if (part != &process) each(payersBucket(*part, what, now));
      }
      each(processBucket(what, now));
    };
    bool isEnough = true;
    owners([&](const Part::Bucket& each) { isEnough = isEnough && each.tokens >= amount; });
    if (!isEnough) {
      ++refusedRate[index(what)];
      return false;
    }
    owners([&](Part::Bucket& each) { each.tokens -= amount; });
    return true;
  }

  void use(Part& part) {
    if (part.idle) idle.erase(*std::exchange(part.idle, std::nullopt));
    ++part.handles;
  }
  void drop(Part& part) {
    if (--part.handles > 0) return;
    part.idle = idle.insert(idle.end(), &part);
    if (idle.size() <= limits::kIdlePayers) return;
    const Payer oldest = idle.front()->payer;
    idle.pop_front();
    parts.erase(oldest);
  }
};

// --- Account ---

Account::Account(std::shared_ptr<Book> book, Part& part) : book_(std::move(book)), part_(&part) {}

Account::~Account() {
  if (!book_) return;
  const std::lock_guard lock(book_->mutex);
  book_->drop(*part_);
}

Account::Account(const Account& other) : book_(other.book_), part_(other.part_) {
  if (!book_) return;
  const std::lock_guard lock(book_->mutex);
  book_->use(*part_);
}

Account::Account(Account&& other) noexcept
    : book_(std::move(other.book_)), part_(std::exchange(other.part_, nullptr)) {}

Account& Account::operator=(Account other) noexcept {
  std::swap(book_, other.book_);
  std::swap(part_, other.part_);
  return *this;
}

Payer Account::payer() const {
  return part_ == nullptr ? Payer() : part_->payer;
}

bool Account::take(Held what, std::uint64_t amount) {
  if (!book_) return true;
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
  book_->process.held[at] += amount;
  if (part_ != &book_->process) part_->held[at] += amount;
  return true;
}

void Account::giveBack(Held what, std::uint64_t amount) {
  if (!book_) return;
  const std::lock_guard lock(book_->mutex);
  book_->process.held[index(what)] -= amount;
  if (part_ != &book_->process) part_->held[index(what)] -= amount;
}

std::uint64_t Account::held(Held what) const {
  if (!book_) return 0;
  const std::lock_guard lock(book_->mutex);
  return part_->held[index(what)];
}

bool Account::hasRoom(Held what, std::uint64_t amount) const {
  if (!book_) return true;
  const std::lock_guard lock(book_->mutex);
  const auto most = Book::mostOf(book_->heldBounds[index(what)], part_->payer);
  return part_->held[index(what)] <= most && amount <= most - part_->held[index(what)];
}

void Account::moveTo(const Account& account, Held what, std::uint64_t amount) const {
  assert(account.book_ == book_);
  if (!book_) return;
  const std::lock_guard lock(book_->mutex);
  const auto* const process = &book_->process;
  if (part_ != process) part_->held[index(what)] -= amount;
  if (account.part_ != process) account.part_->held[index(what)] += amount;
}

bool Account::spend(Rate what, TimePoint now, double amount) {
  if (!book_) return true;
  const std::lock_guard lock(book_->mutex);
  return book_->spend(std::span(&part_, 1), what, now, amount);
}

bool Account::spend(std::initializer_list<Account> payers, Rate what, TimePoint now,
                    double amount) {
  std::vector<Part*> parts;
  Book* book = nullptr;
  for (const auto& payer : payers) {
    if (!payer.book_) continue;
    book = payer.book_.get();
    parts.push_back(payer.part_);
  }
  if (book == nullptr) return true;
  const std::lock_guard lock(book->mutex);
  return book->spend(parts, what, now, amount);
}

void Account::owe(Rate what, TimePoint now, double amount) {
  if (!book_) return;
  const std::lock_guard lock(book_->mutex);
  const auto& bound = book_->rateBounds[index(what)];
  const auto pay = [&](Part::Bucket& bucket, double burst) {
    bucket.tokens = std::clamp(bucket.tokens - amount, -burst, burst);
  };
  pay(book_->processBucket(what, now), bound.processBurst);
  if (part_ == &book_->process) return;
  const double factor = part_->payer.isLoopback() ? limits::kLoopbackPeers : 1;
  pay(book_->payersBucket(*part_, what, now), bound.burst * factor);
}

TimePoint Account::affordableAt(Rate what, TimePoint now, double amount) const {
  if (!book_) return now;
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
    const double factor = part_->payer.isLoopback() ? limits::kLoopbackPeers : 1;
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
  Account::Part& part = payer.isProcess() ? book_->process : book_->parts[payer];
  part.payer = payer;
  book_->use(part);
  return {book_, part};
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
