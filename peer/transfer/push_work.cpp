#include "peer/transfer/push_work.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/core/push.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/push_plan.h"

namespace espalier::transfer {
namespace {

// A run of one request: several are under way, so that while one is answered the next is there.
constexpr std::uint32_t kRunChunks = limits::kPushAhead / 4;

enum class Chunk : std::uint8_t { missing, asked, held };

Error ownDisk(const Error& why) {
  return {ErrorCode::failed, why.message};
}

}  // namespace

struct PushWork::Incoming {
  std::size_t place;
  const wire::PushFile& file;
  PartialFile& pushed;
  Target target;
  Staging staging;
  std::uint64_t chunkBytes;
  std::unique_ptr<std::mutex> learning;  // held while the list is taken over; taken before mutex_
  std::optional<ChunkPlan> plan;         // once known; constant from then on
  std::vector<Chunk> chunks;
  std::uint64_t left;                                    // chunks that are not held
  std::array<std::uint64_t, peer::kPushStripes> from{};  // none to ask for before it
  std::array<bool, peer::kPushStripes> listAsked{};
};

PushWork::PushWork(std::vector<wire::PushFile> files, Options options, PartialFiles& store,
                   std::stop_token stop, std::function<void()> changed)
    : files_(std::move(files)),
      options_(std::move(options)),
      store_(store),
      stop_(std::move(stop)),
      changed_(std::move(changed)) {
  // At once: whoever takes from this peer may ask before the first chunk is here.
  for (const auto& file : files_) {
    pushed_.push_back(std::make_shared<PartialFile>(file.root, file.sizeBytes, file.name));
    store_.put(pushed_.back());
  }
}

PushWork::~PushWork() {
  for (const auto& file : pushed_) {
    file->end();
    store_.remove(file);
  }
}

// --- what to ask for ---

bool PushWork::deal(std::size_t stripes) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(stripes_, stripes) == stripes) return false;
  ++deals_;
  for (const auto& file : open_) {
    std::replace(file->chunks.begin(), file->chunks.end(), Chunk::asked, Chunk::missing);
    file->from = {};
    file->listAsked = {};
  }
  return true;
}

Result<bool> PushWork::wants(std::size_t stripe) {
  auto found = find(stripe);
  if (!found) return found.error();
  return *found != nullptr;
}

Result<std::optional<PushWork::Request>> PushWork::next(std::size_t stripe) {
  while (true) {
    auto found = find(stripe);
    if (!found) return found.error();
    if (!*found) return std::optional<Request>();
    const std::lock_guard lock(mutex_);
    if (auto request = ask(*found, stripe)) return request;  // unless it is dealt anew
  }
}

// A file with chunks of that stripe that nobody was asked for.
Result<std::shared_ptr<PushWork::Incoming>> PushWork::find(std::size_t stripe) {
  if (auto file = findOpen(stripe)) return file;
  const std::lock_guard opening(opening_);
  while (true) {
    if (auto file = findOpen(stripe)) return file;  // opened by another thread, too
    if (!mayOpen(stripe)) return std::shared_ptr<Incoming>();
    if (auto opened = openNext(); !opened) return opened.error();
  }
}

std::shared_ptr<PushWork::Incoming> PushWork::findOpen(std::size_t stripe) {
  const std::lock_guard lock(mutex_);
  if (stripe >= stripes_) return nullptr;
  for (const auto& file : open_) {
    auto& from = file->from[stripe];
    while (from < file->chunks.size() && !isWanted(*file, stripe, from)) ++from;
    if (from < file->chunks.size()) return file;
  }
  return nullptr;
}

bool PushWork::isWanted(const Incoming& file, std::size_t stripe, std::uint64_t chunk) const {
  return chunk < file.chunks.size() && file.chunks[chunk] == Chunk::missing &&
         peer::stripeOf(file.file.root, chunk, stripes_) == stripe;
}

// A run of them. Under mutex_.
std::optional<PushWork::Request> PushWork::ask(const std::shared_ptr<Incoming>& file,
                                               std::size_t stripe) {
  auto& from = file->from[stripe];
  Request request{file, !file->plan && !file->listAsked[stripe], from, 0, deals_};
  while (request.count < kRunChunks && isWanted(*file, stripe, from)) {
    file->chunks[from++] = Chunk::asked;
    ++request.count;
  }
  if (request.count == 0) return std::nullopt;
  file->listAsked[stripe] = true;
  return request;
}

void PushWork::giveBack(std::size_t stripe, const Request& request) {
  {
    const std::lock_guard lock(mutex_);
    if (request.deal != deals_) return;
    auto& file = *request.file;
    for (std::uint64_t chunk = request.first; chunk < request.first + request.count; ++chunk) {
      if (file.chunks[chunk] == Chunk::asked) file.chunks[chunk] = Chunk::missing;
    }
    file.from = {};
    file.listAsked[stripe] = false;
  }
  changed_();
}

const wire::PushFile& PushWork::fileOf(const Request& request) const {
  return request.file->file;
}

std::uint64_t PushWork::chunkBytesOf(const Request& request) const {
  return request.file->chunkBytes;
}

// --- opening ---

bool PushWork::mayOpen(std::size_t stripe) const {
  const std::lock_guard lock(mutex_);
  return stripe < stripes_ && opened_ < files_.size() && open_.size() < limits::kPushFilesOpen &&
         !stop_.stop_requested();
}

// Under opening_.
Result<void> PushWork::openNext() {
  auto incoming = open(opened_);
  if (!incoming) return incoming.error();
  ++opened_;
  if (!*incoming) {
    ++published_;
    changed_();
  } else if ((*incoming)->left == 0) {
    return publish(*incoming);
  } else {
    const std::lock_guard lock(mutex_);
    open_.push_back(*incoming);
  }
  return {};
}

// Nothing when it lies there already.
Result<std::shared_ptr<PushWork::Incoming>> PushWork::open(std::size_t place) {
  const auto& file = files_[place];
  auto target = Target::locate(options_.downloads, file.name, DotNames::none());
  if (!target) return ownDisk(target.error());
  const auto existing = target->compare(file.root, file.sizeBytes, stop_);
  if (!existing) return ownDisk(existing.error());
  if (*existing == Target::Existing::same) {
    if (auto kept = keepExisting(place, target->path()); !kept) return ownDisk(kept.error());
    return std::shared_ptr<Incoming>();
  }
  if (*existing == Target::Existing::different) {
    return Error{ErrorCode::failed, fmt::format("{} exists and differs", escaped(file.name))};
  }
  auto folder = target->stagingFolder(options_.stateFolder);
  if (!folder) return ownDisk(folder.error());
  auto staging = Staging::open(std::move(*folder), file.root, file.sizeBytes);
  if (!staging) return ownDisk(staging.error());
  const std::uint64_t chunkBytes = peer::pushChunkBytesFor(file.sizeBytes);
  const std::uint64_t count = crypto::chunkCount(file.sizeBytes, chunkBytes);
  auto incoming = std::make_shared<Incoming>(Incoming{place,
                                                      file,
                                                      *pushed_[place],
                                                      std::move(*target),
                                                      std::move(*staging),
                                                      chunkBytes,
                                                      std::make_unique<std::mutex>(),
                                                      {},
                                                      std::vector<Chunk>(count),
                                                      count,
                                                      {},
                                                      {}});
  auto known = pushPlanOfSmall(file.root, file.sizeBytes);
  const auto& earlier = incoming->staging.earlierPlan();
  if (!known && earlier && earlier->chunkBytes == chunkBytes) known = earlier;
  if (known) {
    if (auto begun = begin(*incoming, std::move(*known)); !begun) return begun.error();
  }
  return incoming;
}

// Then it is only given on.
Result<void> PushWork::keepExisting(std::size_t place, const std::string& path) {
  const auto& file = files_[place];
  auto opened = openPushed(path, file.sizeBytes, stop_, {});
  if (!opened) return opened.error();
  if (opened->plan.root != file.root) {
    return Error{ErrorCode::failed, fmt::format("{} has changed", escaped(file.name))};
  }
  pushed_[place]->begin(std::move(opened->plan), std::move(opened->file));
  pushed_[place]->finish();
  heldBytes_ += file.sizeBytes;
  return {};
}

// From here on others can be served. Called once, while nobody else has the file or under
// `learning`: it reads what lies on the disk, for which nobody else may have to wait.
Result<void> PushWork::begin(Incoming& incoming, ChunkPlan plan) {
  std::vector<std::uint64_t> earlier;
  const auto begun = incoming.staging.begin(
      plan, [&](std::uint64_t chunk) { earlier.push_back(chunk); }, stop_);
  if (!begun) return ownDisk(begun.error());
  FileDescriptor file(
      ::open(incoming.staging.partPath().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return ownDisk(systemError("cannot read what is received", errno));
  incoming.pushed.begin(plan, std::move(file));
  for (const auto chunk : earlier) incoming.pushed.add(chunk);
  const std::lock_guard lock(mutex_);
  for (const auto chunk : earlier) {
    incoming.chunks[chunk] = Chunk::held;
    --incoming.left;
    heldBytes_ += plan.bytesOf(chunk);
  }
  incoming.plan = std::move(plan);
  return {};
}

// --- what comes ---

Result<void> PushWork::learn(const Request& request, ChunkPlan plan) {
  const std::lock_guard learning(*request.file->learning);
  if (request.file->plan) return {};
  if (auto begun = begin(*request.file, std::move(plan)); !begun) return begun;
  {
    const std::lock_guard lock(mutex_);
    if (request.file->left > 0) return {};
  }
  return publish(request.file);  // all of it lay on the disk
}

std::uint64_t PushWork::bytesOf(const Request& request, std::uint64_t chunk) const {
  const auto& file = *request.file;
  return std::min(file.chunkBytes, file.file.sizeBytes - chunk * file.chunkBytes);
}

Result<void> PushWork::received(const Request& request, std::uint64_t chunk,
                                std::span<const std::byte> data) {
  auto& file = *request.file;
  const ChunkPlan& plan = *file.plan;
  if (!plan.isRight(chunk, data)) {
    return Error{ErrorCode::protocol, fmt::format("it sent a damaged chunk {}", chunk)};
  }
  if (auto written = file.staging.write(plan, chunk, data); !written) {
    return ownDisk(written.error());
  }
  receivedBytes_ += data.size();
  file.pushed.add(chunk);
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(file.chunks[chunk], Chunk::held) == Chunk::held) return {};
    heldBytes_ += data.size();
    if (--file.left > 0) return {};
  }
  return publish(request.file);
}

Result<void> PushWork::publish(const std::shared_ptr<Incoming>& incoming) {
  if (auto synced = incoming->staging.sync(); !synced) return ownDisk(synced.error());
  if (options_.verified) {
    options_.verified(incoming->staging.partPath(), incoming->file.root, coarser(*incoming->plan));
  }
  auto place = incoming->target.folder();
  if (!place) return ownDisk(place.error());
  const auto published = incoming->staging.publish(place->get(), incoming->target.leaf(), false);
  if (!published) return ownDisk(published.error());
  if (!*published) {
    return Error{ErrorCode::failed,
                 fmt::format("{} exists and differs", escaped(incoming->file.name))};
  }
  incoming->target.removeStagingFolder();
  incoming->pushed.finish();
  {
    const std::lock_guard lock(mutex_);
    open_.remove(incoming);
  }
  ++published_;
  changed_();
  return {};
}

}  // namespace espalier::transfer
