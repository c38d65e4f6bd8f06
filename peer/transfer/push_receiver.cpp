#include "peer/transfer/push_receiver.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/push_plan.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {
namespace {

// Requests that are under way: while one is answered the next is there.
constexpr std::size_t kRequestsAhead = 2;

Error lie(std::string_view what) {
  return {ErrorCode::protocol, fmt::format("it sent {}", what)};
}

peer::PushTrouble troubleOf(const Error& error) {
  if (error.code == ErrorCode::protocol) return peer::PushTrouble::lied;
  if (error.code == ErrorCode::io) return peer::PushTrouble::unreachable;
  return peer::PushTrouble::useless;
}

}  // namespace

// One file on its way in.
struct PushReceiver::Incoming {
  const wire::PushFile& file;
  GrowingFile& pushed;
  Target target;
  Staging staging;
  std::optional<ChunkPlan> plan;  // once known
  std::vector<bool> held;
  std::uint64_t missing = 0;
  std::uint64_t firstMissing = 0;  // none before it
  std::vector<wire::ChunkRequest> asked;
  std::uint64_t askedUpTo = 0;
  std::uint64_t expected = 0;  // chunks on their way
  ChunkBuffer buffer;

  // The next run of chunks that nobody was asked for.
  std::optional<wire::ChunkRequest> nextRequest() {
    while (askedUpTo < held.size() && held[askedUpTo]) ++askedUpTo;
    if (askedUpTo == held.size()) return std::nullopt;
    wire::ChunkRequest request{file.root, plan->chunkBytes, askedUpTo, 0};
    while (askedUpTo < held.size() && !held[askedUpTo] &&
           request.count < limits::kChunksPerRequest) {
      ++request.count;
      ++askedUpTo;
    }
    return request;
  }
};

PushReceiver::PushReceiver(std::vector<wire::PushFile> files, PushReceiverOptions options,
                           GrowingFiles& store, PushEvents events)
    : files_(std::move(files)),
      options_(std::move(options)),
      store_(store),
      events_(std::move(events)) {
  // At once: whoever takes from this peer may ask before the first chunk is here.
  for (const auto& file : files_) {
    pushed_.push_back(std::make_shared<GrowingFile>(file.root, file.sizeBytes, file.name));
    store_.put(pushed_.back());
  }
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

PushReceiver::~PushReceiver() {
  thread_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    if (source_) source_->interrupter.interrupt();
  }
  thread_.join();
  for (const auto& file : pushed_) {
    file->end();
    store_.remove(file);
  }
}

void PushReceiver::takeFrom(const Holder& source, Duration patience) {
  const std::lock_guard lock(mutex_);
  if (source_) source_->interrupter.interrupt();
  source_ = std::make_shared<Source>(source, patience);
  changed_.notify_all();
}

std::optional<PeerId> PushReceiver::source() const {
  const std::lock_guard lock(mutex_);
  return source_ ? std::optional(source_->holder.id) : std::nullopt;
}

void PushReceiver::run(std::stop_token stop) {
  const QuietSignals quiet;
  {
    const std::lock_guard lock(mutex_);
    stop_ = stop;
  }
  for (std::size_t i = 0; i < files_.size(); ++i) {
    auto taken = take(files_[i], *pushed_[i]);
    if (stop.stop_requested()) return;
    if (taken) continue;
    for (std::size_t left = i; left < files_.size(); ++left) pushed_[left]->end();
    return events_.failed(taken.error());
  }
  std::shared_ptr<Source> done;  // its slot is for others
  {
    const std::lock_guard lock(mutex_);
    done = std::exchange(source_, nullptr);
  }
  done.reset();
  events_.completed();
}

Result<void> PushReceiver::take(const wire::PushFile& file, GrowingFile& pushed) {
  auto target = Target::locate(options_.downloads, file.name);
  if (!target) return target.error();
  const auto existing = target->compare(file.root, file.sizeBytes, stop_);
  if (!existing) return existing.error();
  if (*existing == Target::Existing::same) return keepExisting(file, target->path(), pushed);
  if (*existing == Target::Existing::different) {
    return Error{ErrorCode::failed, fmt::format("{} exists and differs", escaped(file.name))};
  }
  auto folder = target->stagingFolder(options_.stateFolder);
  if (!folder) return folder.error();
  auto staging = Staging::open(std::move(*folder), file.root, file.sizeBytes);
  if (!staging) return staging.error();
  Incoming incoming{file, pushed, std::move(*target), std::move(*staging), {}, {}, 0, 0, {}, 0,
                    0,    {}};
  if (auto filled = fill(incoming); !filled) return filled;
  return publish(incoming);
}

// It lies there already: then it is only given on.
Result<void> PushReceiver::keepExisting(const wire::PushFile& file, const std::string& path,
                                        GrowingFile& pushed) {
  auto opened = openPushed(path, file.sizeBytes, stop_, {});
  if (!opened) return opened.error();
  if (opened->plan.root != file.root) {
    return Error{ErrorCode::failed, fmt::format("{} has changed", escaped(file.name))};
  }
  pushed.begin(std::move(opened->plan), std::move(opened->file));
  pushed.finish();
  heldBytes_ += file.sizeBytes;
  return {};
}

// From one source after another, until all chunks are there.
Result<void> PushReceiver::fill(Incoming& incoming) {
  auto known = pushPlanOfSmall(incoming.file.root, incoming.file.sizeBytes);
  const auto& earlier = incoming.staging.earlierPlan();
  if (!known && earlier &&
      earlier->chunkBytes == peer::pushChunkBytesFor(incoming.file.sizeBytes)) {
    known = earlier;
  }
  if (known) {
    if (auto begun = begin(incoming, std::move(*known)); !begun) return begun;
  }
  while (!incoming.plan || incoming.missing > 0) {
    const auto source = awaitSource();
    if (!source) return Error{ErrorCode::interrupted, "interrupted"};
    const auto conversed = converse(incoming, *source);
    if (stop_.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (conversed) continue;
    // Of our own disk, not of the source.
    if (conversed.error().code == ErrorCode::failed) return conversed;
    dropSource(source, conversed.error());
  }
  return {};
}

std::shared_ptr<PushReceiver::Source> PushReceiver::awaitSource() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_, [this] { return source_ != nullptr; });
  return stop_.stop_requested() ? nullptr : source_;
}

void PushReceiver::dropSource(const std::shared_ptr<Source>& source, const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (source_ != source) return;  // another one is wanted already
    // Whoever delivered and broke off may just have been restarted, or tired of waiting for us.
    const bool again = why.code == ErrorCode::io && source->delivered;
    source_ = again ? std::make_shared<Source>(source->holder, source->patience) : nullptr;
    if (again) return;
  }
  events_.sourceFailed(source->holder.id, troubleOf(why), why);
}

Result<void> PushReceiver::converse(Incoming& incoming, Source& source) {
  incoming.asked.clear();
  incoming.askedUpTo = 0;
  incoming.expected = 0;
  const bool dialled = source.connection != nullptr;
  if (!dialled) {
    source.connection = std::make_unique<HolderConnection>(
        source.holder.endpoint, options_.timeouts, source.interrupter, wire::Purpose::push);
    source.connection->limit(options_.rate);
  }
  auto& connection = *source.connection;
  if (!incoming.plan) connection.queue(wire::ChunkListRequest{incoming.file.root});
  if (const auto ready = dialled ? connection.flush() : connection.open(); !ready) {
    return Error{ErrorCode::io, ready.error().message};  // `busy` too: another one may have room
  }
  if (!incoming.plan) {
    if (auto learned = learnPlan(incoming, source); !learned) return learned;
  }
  std::size_t ahead = 0;
  while (incoming.missing > 0) {
    while (ahead < kRequestsAhead) {
      const auto request = incoming.nextRequest();
      if (!request) break;
      connection.queue(*request);
      incoming.asked.push_back(*request);
      ++ahead;
    }
    if (auto sent = connection.flush(); !sent) return sent;
    for (std::uint32_t left = incoming.asked.front().count; left > 0; --left) {
      if (auto received = receiveChunk(incoming, source); !received) return received;
    }
    incoming.asked.erase(incoming.asked.begin());
    --ahead;
  }
  return {};
}

Result<void> PushReceiver::learnPlan(Incoming& incoming, Source& source) {
  const auto& file = incoming.file;
  ChunkPlan plan{file.root, file.sizeBytes, peer::pushChunkBytesFor(file.sizeBytes), {}};
  const std::uint64_t wanted = crypto::chunkCount(plan.size, plan.chunkBytes);
  while (plan.hashes.size() < wanted) {
    auto answer = source.connection->receive(source.patience);
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return Error{ErrorCode::timeout, escaped(failure->message)};
    }
    const auto* part = std::get_if<wire::ChunkList>(&*answer);
    if (part == nullptr || part->size != plan.size || part->chunkBytes != plan.chunkBytes ||
        part->first != plan.hashes.size() || part->hashes.empty() ||
        part->hashes.size() > wanted - plan.hashes.size()) {
      return lie("a list of hashes that is not this file's");
    }
    plan.hashes.insert(plan.hashes.end(), part->hashes.begin(), part->hashes.end());
  }
  if (!plan.matches()) return lie("a list of hashes that does not belong to the root");
  return begin(incoming, std::move(plan));
}

// From here on others can be served.
Result<void> PushReceiver::begin(Incoming& incoming, ChunkPlan plan) {
  incoming.held.assign(plan.hashes.size(), false);
  incoming.missing = plan.hashes.size();
  std::vector<std::uint64_t> earlier;
  const auto begun = incoming.staging.begin(
      plan, [&](std::uint64_t chunk) { earlier.push_back(chunk); }, stop_);
  if (!begun) return Error{ErrorCode::failed, begun.error().message};
  FileDescriptor file(
      ::open(incoming.staging.partPath().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) {
    return Error{ErrorCode::failed, systemError("cannot read what is received", errno).message};
  }
  incoming.pushed.begin(plan, std::move(file));
  for (const auto chunk : earlier) {
    incoming.held[chunk] = true;
    --incoming.missing;
    heldBytes_ += plan.bytesOf(chunk);
    incoming.pushed.add(chunk);
  }
  incoming.buffer.reserve(plan.chunkBytes);
  incoming.plan = std::move(plan);
  return {};
}

Result<void> PushReceiver::receiveChunk(Incoming& incoming, Source& source) {
  const ChunkPlan& plan = *incoming.plan;
  auto answer = source.connection->receive(source.patience);
  if (!answer) return answer.error();
  if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
    return Error{ErrorCode::timeout, escaped(failure->message)};
  }
  const auto* header = std::get_if<wire::ChunkHeader>(&*answer);
  if (header == nullptr || header->chunk >= plan.hashes.size() || incoming.held[header->chunk] ||
      header->bytes != plan.bytesOf(header->chunk)) {
    return lie("another answer than the chunk asked for");
  }
  const auto data = incoming.buffer.first(header->bytes);
  if (auto received = source.connection->receiveBytes(data); !received) return received;
  if (!plan.isRight(header->chunk, data))
    return lie(fmt::format("a damaged chunk {}", header->chunk));
  if (auto written = incoming.staging.write(plan, header->chunk, data); !written) {
    return Error{ErrorCode::failed, written.error().message};
  }
  incoming.held[header->chunk] = true;
  --incoming.missing;
  source.delivered = true;
  heldBytes_ += header->bytes;
  receivedBytes_ += header->bytes;
  incoming.pushed.add(header->chunk);
  return {};
}

Result<void> PushReceiver::publish(Incoming& incoming) {
  if (auto synced = incoming.staging.sync(); !synced) return synced;
  if (options_.verified) {
    options_.verified(incoming.staging.partPath(), incoming.file.root, coarser(*incoming.plan));
  }
  auto place = incoming.target.folder();
  if (!place) return place.error();
  const auto published = incoming.staging.publish(place->get(), incoming.target.leaf(), false);
  if (!published) return published.error();
  if (!*published) {
    return Error{ErrorCode::failed,
                 fmt::format("{} exists and differs", escaped(incoming.file.name))};
  }
  incoming.target.removeStagingFolder();
  incoming.pushed.finish();
  return {};
}

}  // namespace espalier::transfer
