#include "peer/transfer/upload_slots.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <tuple>
#include <utility>

#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/net/handshake.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"

namespace espalier::transfer {
namespace {

using namespace std::chrono_literals;

// How long a thread waits for its asker: longer than a round trip in a local network, and than an
// asker on this machine needs to make room. While others are ready: a few context switches.
constexpr Duration kPatience = 10ms;
constexpr Duration kPatienceCrowded = 1ms;
// A shorter wait is not told.
constexpr Duration kToldAfter = 300ms;
constexpr auto kLookMost = 500ms;  // between two looks for silent askers
constexpr auto kLookLeast = 5ms;

std::string waitingFrame(std::size_t position) {
  std::string frame;
  wire::appendFrame(wire::encode(wire::Waiting{static_cast<std::uint32_t>(position)}), frame);
  return frame;
}

}  // namespace

bool UploadSlots::Slice::isOver() const {
  return slots_.readyCount_ > 0 && Clock::now() - begun_ >= slots_.options_.turn;
}

Duration UploadSlots::Slice::patience() const {
  return slots_.readyCount_ > 0 ? kPatienceCrowded : kPatience;
}

UploadSlots::UploadSlots(SlotOptions options, Begin begin)
    : options_(std::move(options)), begin_(std::move(begin)) {}

// --- askers that come ---

void UploadSlots::serve(std::unique_ptr<net::ByteStream> accepted, const wire::Hello& hello) {
  auto asker = std::make_unique<Asker>();
  asker->stream =
      std::make_unique<net::BlockingStream>(std::move(accepted), options_.silence, interrupter_);
  const auto account =
      options_.budget->account(Payer::host(asker->stream->remote().endpoint().host));
  asker->place = Hold(account, options_.held);
  asker->bytes = Hold(account, limits::Held::uploadBytes);
  const bool asks = asker->stream->awaitReadable(Duration::zero());
  Closed closed;
  const std::lock_guard lock(mutex_);
  if (const char* why = admit(*asker, asks, closed)) {
    (void)asker->stream->tryWrite(net::refusalFrame({ErrorCode::timeout, why}));
    return;
  }
  if (!asker->stream->tryWrite(net::welcomeFrame(hello))) return;
  const Key key = next_++;
  Asker& entered = *askers_.emplace(key, std::move(asker)).first->second;
  if (asks) {
    makeReady(key, entered);
  } else {
    entered.state = State::asking;
    entered.isWatched =
        readySet_.watch(entered.stream->descriptor(), key, ReadySet::For::reading, true);
    if (!entered.isWatched) close(askers_.find(key), closed);
  }
  if (askers_.size() == 1) readySet_.wake();
}

// Why it is refused; nothing when it has a place.
const char* UploadSlots::admit(Asker& asker, bool asks, Closed& closed) {
  constexpr const char* kFull = "busy: all slots are in use and the queue is full";
  const Payer payer = asker.place.account().payer();
  if (stopping_ || !readySet_) return kFull;
  if (asks && working() >= options_.slots + options_.queue &&
      !displace(payer, asks, true, closed)) {
    return kFull;
  }
  if (!asker.place.resize(1)) {
    // Another address's place is of no use where the newcomer's own bound is reached.
    const bool isOwnBound = !asker.place.account().hasRoom(options_.held, 1);
    const bool hasRoom =
        isOwnBound ? displaceOf(payer, asks, false, closed) : displace(payer, asks, false, closed);
    if (!hasRoom || !asker.place.resize(1)) return kFull;
  }
  return addThreads() ? nullptr : "busy: the system has no thread left to serve this";
}

// Served, ready, or resting until it takes bytes.
std::size_t UploadSlots::working() const {
  return static_cast<std::size_t>(
      std::count_if(askers_.begin(), askers_.end(), [](const auto& each) {
        return each.second->state != State::asking && !each.second->isDisplaced;
      }));
}

// As many as one more asker wants. Where the system has no thread left, those that there are do it;
// false: there is none.
bool UploadSlots::addThreads() {
  Result<void> started;
  if (!keeper_.joinable()) started = startThread(keeper_, [this] { keep(); });
  if (started) started = addSlot();
  if (!started) log::warning("no thread for one more upload: {}", started.error().message);
  return keeper_.joinable() && !slots_.empty();
}

Result<void> UploadSlots::addSlot() {
  if (serving_ + order_.size() < slots_.size() || slots_.size() >= options_.slots) return {};
  return startThread(slots_, [this] { work(); });
}

// Makes room for one that comes, where a bound of the process is reached. `working`: among those
// that have something to do.
bool UploadSlots::displace(const Payer& newcomer, bool asks, bool working, Closed& closed) {
  return displaceOf(payerOfMost(), asks, working, closed) ||
         displaceOf(newcomer, asks, working, closed);
}

// The same, of that address.
bool UploadSlots::displaceOf(const Payer& payer, bool asks, bool working, Closed& closed) {
  const auto place = weakest(payer, asks, working);
  if (place == askers_.end()) return false;
  Asker& asker = *place->second;
  if (asker.state == State::served) {
    asker.isDisplaced = true;  // its thread closes it
    asker.place.release();
    asker.stream->cut();
  } else {
    close(place, closed);
  }
  return true;
}

Payer UploadSlots::payerOfMost() const {
  Payer most;
  std::uint64_t held = 0;
  for (const auto& [key, asker] : askers_) {
    const auto theirs = asker->place.account().held(options_.held);
    if (std::exchange(held, std::max(held, theirs)) < theirs) {
      most = asker->place.account().payer();
    }
  }
  return most;
}

UploadSlots::Askers::iterator UploadSlots::weakest(const Payer& payer, bool asks, bool working) {
  enum Kind { neverAsked, idle, deaf, slow, waitsInVain };
  const TimePoint now = Clock::now();
  auto worst = askers_.end();
  std::tuple<Kind, double> lowest;
  for (auto place = askers_.begin(); place != askers_.end(); ++place) {
    const Asker& asker = *place->second;
    if (asker.isDisplaced || asker.place.account().payer() != payer) continue;
    const auto* talk = asker.conversation.get();
    const bool hasAsked = talk != nullptr && talk->hasAsked();
    const TimePoint active = talk == nullptr ? asker.came : talk->activeAt();
    const TimePoint waits = talk == nullptr ? kNever : talk->waitsSince();
    const auto taken = talk == nullptr ? 0 : talk->takenBytes();
    const double rate =
        static_cast<double>(taken) / std::chrono::duration<double>(now - asker.came).count();
    std::optional<Kind> kind;
    if (asker.state == State::asking && !working) {
      kind = hasAsked ? idle : neverAsked;
    } else if (asker.state == State::taking && now - active >= options_.deaf) {
      kind = deaf;
    } else if (asker.state == State::taking && now - asker.came >= options_.deaf &&
               rate < static_cast<double>(limits::kUploadRateLeast)) {
      kind = slow;
    } else if (waits <= now - options_.deaf) {
      kind = waitsInVain;
    }
    if (!kind || (!asks && *kind != neverAsked)) continue;
    const auto seconds = [](TimePoint when) {
      return std::chrono::duration<double>(when.time_since_epoch()).count();
    };
    const double since = seconds(*kind == waitsInVain ? waits : active);
    const std::tuple<Kind, double> rank(*kind, *kind == slow ? rate : since);
    if (worst != askers_.end() && lowest <= rank) continue;
    worst = place;
    lowest = rank;
  }
  return worst;
}

void UploadSlots::makeReady(Key key, Asker& asker) {
  asker.state = State::ready;
  asker.since = asker.told = Clock::now();
  asker.bytes.release();
  (void)addSlot();  // of those that were accepted without a request, several may ask at once
  order_.push(key, asker.place.account().payer(), asker.conversation == nullptr);
  readyCount_ = order_.size();
  wake_.notify_one();
}

void UploadSlots::close(Askers::iterator place, Closed& closed) {
  if (place->second->state == State::ready) order_.remove(place->first);
  readyCount_ = order_.size();
  place->second->place.release();  // now, for the one that comes
  place->second->bytes.release();
  closed.push_back(std::move(place->second));
  askers_.erase(place);
}

// --- slots ---

void UploadSlots::work() {
  const QuietSignals quiet;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !order_.empty(); });
    if (stopping_) return;
    const Key key = *order_.pop();
    readyCount_ = order_.size();
    Asker& asker = *askers_.at(key);
    asker.state = State::served;
    ++serving_;
    lock.unlock();
    const auto next = converse(asker);
    if (!next) log::debug("a transfer ended: {}", escaped(next.error().message));
    Closed closed;
    lock.lock();
    --serving_;
    settle(key, next, closed);
    if (closed.empty()) continue;
    lock.unlock();
    closed.clear();
    lock.lock();
  }
}

Result<UploadSlots::Next> UploadSlots::converse(Asker& asker) {
  if (!asker.conversation) {
    auto conversation = begin_(*asker.stream, interrupter_.token());
    const std::lock_guard lock(mutex_);  // weakest() looks at it
    asker.conversation = std::move(conversation);
  }
  return asker.conversation->serve(Slice(*this));
}

// What becomes of an asker after a slice.
void UploadSlots::settle(Key key, const Result<Next>& next, Closed& closed) {
  const auto place = askers_.find(key);
  Asker& asker = *place->second;
  if (!next || *next == Next::left || asker.isDisplaced || stopping_) return close(place, closed);
  if (*next == Next::later) return makeReady(key, asker);
  const bool takes = *next == Next::writable;
  asker.state = takes ? State::taking : State::asking;
  asker.since = Clock::now();
  if (!payForRest(asker, closed) ||
      !readySet_.watch(asker.stream->descriptor(), key,
                       takes ? ReadySet::For::writing : ReadySet::For::reading, !asker.isWatched)) {
    return close(place, closed);
  }
  asker.isWatched = true;
}

// Charges what the asker holds while it rests. Where that is too much, the resting asker that holds
// most is closed, of its own address or of all, as the bound that is reached says. False: it is
// this one.
bool UploadSlots::payForRest(Asker& asker, Closed& closed) {
  const auto bytes = asker.conversation->heldBytes();
  const auto& account = asker.bytes.account();
  while (!asker.bytes.resize(bytes)) {
    const bool isOwnBound = !account.hasRoom(limits::Held::uploadBytes, bytes);
    auto most = askers_.end();
    for (auto each = askers_.begin(); each != askers_.end(); ++each) {
      const auto& held = each->second->bytes;
      if (isOwnBound && held.account().payer() != account.payer()) continue;
      if (held.amount() <= (most == askers_.end() ? bytes : most->second->bytes.amount())) continue;
      most = each;
    }
    if (most == askers_.end()) return false;
    close(most, closed);
  }
  return true;
}

// --- the keeper ---

void UploadSlots::keep() {
  const QuietSignals quiet;
  const auto pause = std::chrono::ceil<std::chrono::milliseconds>(std::clamp<Duration>(
      std::min(options_.silence, options_.waitingInterval) / 8, kLookLeast, kLookMost));
  TimePoint looked = Clock::now();
  bool any = false;
  while (true) {
    const auto ready = readySet_.wait(any ? pause : std::chrono::milliseconds(-1));
    Closed closed;  // after the lock
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (const Key key : ready) {
      const auto place = askers_.find(key);
      if (place == askers_.end()) continue;
      Asker& asker = *place->second;
      if (asker.state == State::asking || asker.state == State::taking) makeReady(key, asker);
    }
    any = !askers_.empty();
    const TimePoint now = Clock::now();
    if (now - looked < pause) continue;
    looked = now;
    look(now, closed);
  }
}

// Closes askers that neither asked nor took for too long, and tells positions, also as a sign of
// life to askers that would give up otherwise.
void UploadSlots::look(TimePoint now, Closed& closed) {
  for (auto place = askers_.begin(); place != askers_.end();) {
    const auto each = place++;
    const Asker& asker = *each->second;
    if (asker.state != State::asking && asker.state != State::taking) continue;
    const auto active = asker.conversation ? asker.conversation->activeAt() : asker.came;
    if (now - active >= options_.silence) close(each, closed);
  }
  std::size_t position = 0;
  for (const Key key : order_.list()) {
    const auto place = askers_.find(key);
    if (!tellPosition(*place->second, ++position, now)) close(place, closed);
  }
}

// False: it is gone, or half a frame may have been sent, so the connection ends.
bool UploadSlots::tellPosition(Asker& asker, std::size_t position, TimePoint now) const {
  const Duration before = asker.told == asker.since
                              ? std::min<Duration>(kToldAfter, options_.waitingInterval)
                              : options_.waitingInterval;
  if (now - asker.told < before) return true;
  if (asker.conversation && !asker.conversation->isBetweenFrames()) return true;
  // An asker that has not read all that was sent needs no further sign of life.
  if (!asker.stream->isWritable()) return true;
  asker.told = now;
  return asker.stream->tryWrite(waitingFrame(position));
}

void UploadSlots::stop() {
  std::vector<std::jthread> slots;
  std::jthread keeper;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    slots.swap(slots_);
    keeper.swap(keeper_);
    wake_.notify_all();
    readySet_.wake();
  }
  interrupter_.interrupt();
  slots.clear();
  keeper = {};
  const std::lock_guard lock(mutex_);
  askers_.clear();
  order_ = {};
}

UploadSlots::Status UploadSlots::status() const {
  const std::lock_guard lock(mutex_);
  return {working() - order_.size(), order_.size(), askers_.size()};
}

}  // namespace espalier::transfer
