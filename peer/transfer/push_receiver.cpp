#include "peer/transfer/push_receiver.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {
namespace {

constexpr auto kHeldUpAgain = std::chrono::milliseconds(500);

// "sent …" becomes "it sent …": the messages of a push name no source.
Error itsError(const Error& error) {
  if (error.code != ErrorCode::protocol) return error;
  return {error.code, "it " + error.message};
}

peer::PushTrouble troubleOf(const Error& error) {
  if (error.code == ErrorCode::protocol) return peer::PushTrouble::lied;
  if (error.code == ErrorCode::io) return peer::PushTrouble::unreachable;
  return peer::PushTrouble::useless;
}

}  // namespace

PushReceiver::PushReceiver(std::vector<wire::PushFile> files, PushReceiverOptions options,
                           PartialFiles& store, PushEvents events)
    : options_(std::move(options)),
      events_(std::move(events)),
      work_(std::move(files), options_.work, store, stop_.get_token(), [this] { changed(); }) {
  for (std::size_t stripe = 0; stripe < lanes_.size(); ++stripe) {
    lanes_[stripe].stripe = stripe;
    started_ = startThread(threads_, [this, stripe] { run(lanes_[stripe]); });
    if (started_) continue;
    stop_.request_stop();
    return;
  }
}

PushReceiver::~PushReceiver() {
  stop_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& lane : lanes_) {
      if (lane.source) lane.source->interrupter.interrupt();
    }
  }
  threads_.clear();
}

void PushReceiver::takeFrom(std::size_t stripe, std::size_t stripes, const Holder& source,
                            Duration patience) {
  if (stripe >= lanes_.size()) return;
  const std::lock_guard lock(mutex_);
  const bool dealtAnew = work_.deal(stripes);
  for (auto& lane : lanes_) {
    if ((!dealtAnew && lane.stripe != stripe) || !lane.source) continue;
    lane.source->interrupter.interrupt();
    lane.source.reset();
  }
  lanes_[stripe].source = std::make_shared<Source>(source, patience);
  ++changes_;
  changed_.notify_all();
}

std::vector<PeerId> PushReceiver::sources() const {
  const std::lock_guard lock(mutex_);
  std::vector<PeerId> ids;
  for (const auto& lane : lanes_) {
    if (!lane.source) continue;
    const auto& id = lane.source->holder.id;
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

void PushReceiver::changed() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

void PushReceiver::tellProgress() {
  const TimePoint now = Clock::now();
  const std::lock_guard lock(eventsMutex_);
  if (over_ || !events_.progressed || now < progressAt_) return;
  progressAt_ = now + limits::kPushIdle / 4;
  events_.progressed();
}

// Calls the last event, once.
void PushReceiver::end(const std::function<void()>& event) {
  {
    const std::lock_guard lock(eventsMutex_);
    if (std::exchange(over_, true) || stop_.stop_requested()) return;
    event();
  }
  stop_.request_stop();
}

// --- a stripe ---

void PushReceiver::run(Lane& lane) {
  const QuietSignals quiet;
  while (awaitWork(lane)) {
    const auto source = [&] {
      const std::lock_guard lock(mutex_);
      return lane.source;
    }();
    if (!source) continue;
    std::deque<PushWork::Request> asked;
    const auto conversed = converse(lane, *source, asked);
    for (const auto& request : asked) work_.release(lane.stripe, request);
    if (stop_.stop_requested()) return;
    if (conversed) {
      source->client.reset();                                  // its slot is for others
    } else if (conversed.error().code == ErrorCode::failed) {  // this peer's own disk
      return end([&] { events_.failed(conversed.error()); });
    } else {
      dropSource(lane, source, conversed.error());
    }
  }
}

// Waits until there is something to ask for, and a source to ask.
bool PushReceiver::awaitWork(Lane& lane) {
  while (!stop_.stop_requested()) {
    const std::uint64_t seen = [&] {
      const std::lock_guard lock(mutex_);
      return changes_;
    }();
    const auto wants = work_.wants(lane.stripe);
    if (!wants) {
      end([&] { events_.failed(wants.error()); });
      return false;
    }
    if (work_.isDone()) {
      end(events_.completed);
      return false;
    }
    std::unique_lock lock(mutex_);
    if (*wants && lane.source) return true;
    const auto isOther = [&] { return changes_ != seen; };
    if (work_.isHeldUp(lane.stripe)) {
      changed_.wait_for(lock, stop_.get_token(), kHeldUpAgain, isOther);
    } else {
      changed_.wait(lock, stop_.get_token(), isOther);
    }
  }
  return false;
}

// Until there is nothing left to ask for. What was asked for and did not arrive is in `asked` then.
Result<void> PushReceiver::converse(Lane& lane, Source& source,
                                    std::deque<PushWork::Request>& asked) {
  const bool dialled = source.client != nullptr;
  if (!dialled) {
    source.client = std::make_unique<ChunkClient>(source.holder.endpoint, options_.timeouts,
                                                  source.interrupter, wire::Purpose::push);
    source.client->connection().limit(options_.rate);
    source.client->connection().gather(limits::kPushGathering);
  }
  if (auto queued = ask(lane, source, asked); !queued) return queued;
  if (const auto ready = dialled ? source.client->flush() : source.client->open(); !ready) {
    return Error{ErrorCode::io, ready.error().message};  // `busy` too: another source may have room
  }
  while (source.client->expects()) {
    // Chunks that arrived before the source was replaced can still be read, but are asked for
    // elsewhere now.
    if (source.interrupter.interrupted()) return Error{ErrorCode::interrupted, "interrupted"};
    const auto last = receive(lane, source, asked.front());
    if (!last) return last.error();
    if (!*last) continue;
    asked.pop_front();
    if (auto queued = ask(lane, source, asked); !queued) return queued;
    if (auto sent = source.client->flush(); !sent) return sent;
  }
  return {};
}

// Asks for as much as may be on its way. Refilled when half of it has arrived.
Result<void> PushReceiver::ask(Lane& lane, Source& source, std::deque<PushWork::Request>& asked) {
  ChunkClient& client = *source.client;
  if (client.chunksAhead() > limits::kPushAhead / 2) return {};
  while (client.chunksAhead() < limits::kPushAhead) {
    auto next = work_.next(lane.stripe);
    if (!next) return next.error();
    if (!*next) return {};
    const PushWork::Request& request = **next;
    const auto& file = work_.fileOf(request);
    const std::uint64_t chunkBytes = work_.chunkBytesOf(request);
    if (request.list) client.askList(file.root, file.sizeBytes, chunkBytes);
    client.askChunks({file.root, file.sizeBytes, chunkBytes, request.first, request.count});
    asked.push_back(request);
  }
  return {};
}

// The next answer of the source, which belongs to `request`. Returns whether it was the last one.
Result<bool> PushReceiver::receive(Lane& lane, Source& source, const PushWork::Request& request) {
  auto answer = source.client->receive(source.patience);
  if (!answer) return itsError(answer.error());
  if (const auto* refused = std::get_if<ChunkClient::Refused>(&*answer)) {
    return Error{ErrorCode::timeout, escaped(refused->message)};
  }
  if (auto* plan = std::get_if<ChunkPlan>(&*answer)) {
    if (auto learned = work_.learn(request, std::move(*plan)); !learned) return learned.error();
    return false;
  }
  const auto* chunk = std::get_if<ChunkClient::Chunk>(&*answer);
  if (chunk == nullptr) return itsError(unexpected("another answer than the chunk asked for"));
  lane.buffer.reserve(chunk->bytes);
  const auto data = lane.buffer.first(chunk->bytes);
  if (auto received = source.client->receiveBytes(data); !received) return received.error();
  if (auto kept = work_.received(request, chunk->chunk, data); !kept) return kept.error();
  source.delivered = true;
  tellProgress();
  return chunk->last;
}

void PushReceiver::dropSource(Lane& lane, const std::shared_ptr<Source>& source, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (lane.source != source) return;  // another one is wanted already
    // A source that delivered and broke off may have been restarted, or gave up waiting for
    // requests.
    const bool again = why.code == ErrorCode::io && source->delivered;
    lane.source = again ? std::make_shared<Source>(source->holder, source->patience) : nullptr;
    if (again) return;
  }
  const std::lock_guard lock(eventsMutex_);
  if (!over_) events_.sourceFailed(lane.stripe, source->holder.id, troubleOf(why), why);
}

}  // namespace espalier::transfer
