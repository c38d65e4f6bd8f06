#include "peer/transfer/push_receiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "common/base/signals.h"
#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::transfer {
namespace {

Error lie(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("it sent {}", what)};
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

// Once; then the other thread finds that it is over.
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
    for (const auto& request : asked) work_.giveBack(lane.stripe, request);
    if (stop_.stop_requested()) return;
    if (conversed) {
      source->connection.reset();                              // its slot is for others
    } else if (conversed.error().code == ErrorCode::failed) {  // of our own disk
      return end([&] { events_.failed(conversed.error()); });
    } else {
      dropSource(lane, source, conversed.error());
    }
  }
}

// Until there is something to ask for, and somebody to ask.
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
    changed_.wait(lock, stop_.get_token(), [&] { return changes_ != seen; });
  }
  return false;
}

// Until there is nothing left to ask for. What was asked for and did not come is in `asked` then.
Result<void> PushReceiver::converse(Lane& lane, Source& source,
                                    std::deque<PushWork::Request>& asked) {
  const bool dialled = source.connection != nullptr;
  if (!dialled) {
    source.connection = std::make_unique<HolderConnection>(
        source.holder.endpoint, options_.timeouts, source.interrupter, wire::Purpose::push);
    source.connection->limit(options_.rate);
    source.connection->gather(limits::kPushGathering);
  }
  if (auto queued = ask(lane, source, asked); !queued) return queued;
  if (const auto ready = dialled ? source.connection->flush() : source.connection->open(); !ready) {
    return Error{ErrorCode::io, ready.error().message};  // `busy` too: another one may have room
  }
  while (!asked.empty()) {
    const auto& request = asked.front();
    if (request.list) {
      if (auto received = receiveList(request, source); !received) return received;
    }
    if (auto received = receiveChunks(request, lane, source); !received) return received;
    asked.pop_front();
    if (auto queued = ask(lane, source, asked); !queued) return queued;
    if (auto sent = source.connection->flush(); !sent) return sent;
  }
  return {};
}

// For as much as may be on its way.
Result<void> PushReceiver::ask(Lane& lane, Source& source, std::deque<PushWork::Request>& asked) {
  std::size_t ahead = 0;
  for (const auto& request : asked) ahead += request.count;
  if (ahead > limits::kPushAhead / 2) return {};
  while (ahead < limits::kPushAhead) {
    auto request = work_.next(lane.stripe);
    if (!request) return request.error();
    if (!*request) return {};
    const auto& root = work_.fileOf(**request).root;
    if ((*request)->list) source.connection->queue(wire::ChunkListRequest{root});
    source.connection->queue(wire::ChunkRequest{root, work_.chunkBytesOf(**request),
                                                (*request)->first, (*request)->count});
    ahead += (*request)->count;
    asked.push_back(std::move(**request));
  }
  return {};
}

Result<void> PushReceiver::receiveList(const PushWork::Request& request, Source& source) {
  const auto& file = work_.fileOf(request);
  ChunkListParts parts(file.root, file.sizeBytes, work_.chunkBytesOf(request));
  auto added = ChunkListParts::Added::more;
  while (added == ChunkListParts::Added::more) {
    auto answer = source.connection->receive(source.patience);
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return Error{ErrorCode::timeout, escaped(failure->message)};
    }
    const auto* part = std::get_if<wire::ChunkList>(&*answer);
    added = part == nullptr ? ChunkListParts::Added::notOfFile : parts.add(*part);
  }
  if (added != ChunkListParts::Added::complete) return lie(describe(added));
  return work_.learn(request, parts.take());
}

Result<void> PushReceiver::receiveChunks(const PushWork::Request& request, Lane& lane,
                                         Source& source) {
  for (std::uint64_t chunk = request.first; chunk < request.first + request.count; ++chunk) {
    // What came before it was interrupted can still be read, and is others' to take now.
    if (source.interrupter.interrupted()) return Error{ErrorCode::interrupted, "interrupted"};
    auto answer = source.connection->receive(source.patience);
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return Error{ErrorCode::timeout, escaped(failure->message)};
    }
    const auto* header = std::get_if<wire::ChunkHeader>(&*answer);
    const std::uint64_t bytes = work_.bytesOf(request, chunk);
    if (header == nullptr || header->chunk != chunk || header->bytes != bytes) {
      return lie("another answer than the chunk asked for");
    }
    lane.buffer.reserve(bytes);
    const auto data = lane.buffer.first(bytes);
    if (auto received = source.connection->receiveBytes(data); !received) return received;
    if (auto kept = work_.received(request, chunk, data); !kept) return kept;
    source.delivered = true;
  }
  return {};
}

void PushReceiver::dropSource(Lane& lane, const std::shared_ptr<Source>& source, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (lane.source != source) return;  // another one is wanted already
    // Whoever delivered and broke off may just have been restarted, or tired of waiting for us.
    const bool again = why.code == ErrorCode::io && source->delivered;
    lane.source = again ? std::make_shared<Source>(source->holder, source->patience) : nullptr;
    if (again) return;
  }
  const std::lock_guard lock(eventsMutex_);
  if (!over_) events_.sourceFailed(lane.stripe, source->holder.id, troubleOf(why), why);
}

}  // namespace espalier::transfer
