#include "peer/transfer/push_work.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/text.h"
#include "peer/transfer/part_file.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {
namespace {

Error ownDisk(const Error& why) {
  return {ErrorCode::failed, why.message};
}

Error differs(const std::string& name) {
  return {ErrorCode::failed, fmt::format("{} exists and differs", escaped(name))};
}

}  // namespace

struct PushWork::Incoming {
  Incoming(Target where, PartFile file) : target(std::move(where)), part(std::move(file)) {}
  Target target;
  PartFile part;
  std::mutex learning;   // held while the list is taken over
  bool learned = false;  // part.plan() is known, and constant; guarded by `learning`
  // The part has a chunk, or may have one from an earlier run.
  std::atomic<bool> holdsData = part.mayHoldUnknown() || part.earlierPlan().has_value();
};

PushWork::PushWork(std::vector<wire::PushFile> files, Options options, PartialFiles& store,
                   std::stop_token stop, std::function<void()> changed)
    : options_(std::move(options)),
      store_(store),
      stop_(std::move(stop)),
      changed_(std::move(changed)),
      schedule_(std::move(files)),
      incoming_(schedule_.files()) {
  // Announced at once: other peers may ask before the first chunk is here.
  for (std::size_t place = 0; place < schedule_.files(); ++place) {
    const auto& file = schedule_.file(place);
    partial_.push_back(std::make_shared<PartialFile>(file.root, file.sizeBytes, file.name));
    store_.put(partial_.back());
  }
}

// A part without data is of no use to another run, and there may be many of them.
PushWork::~PushWork() {
  for (const auto& incoming : incoming_) {
    if (incoming && !incoming->holdsData) incoming->part.discard();
  }
  for (const auto& file : partial_) {
    file->end();
    store_.remove(file);
  }
}

// --- what to ask for ---

bool PushWork::deal(std::size_t stripes) {
  const std::lock_guard lock(mutex_);
  return schedule_.deal(stripes);
}

Result<bool> PushWork::wants(std::size_t stripe) {
  return openUntilWanted(stripe);
}

Result<std::optional<PushWork::Request>> PushWork::next(std::size_t stripe) {
  while (true) {
    const auto wanted = openUntilWanted(stripe);
    if (!wanted) return wanted.error();
    if (!*wanted) return std::optional<Request>();
    const std::lock_guard lock(mutex_);
    // Nothing after all if it was dealt anew in between.
    if (auto request = schedule_.next(stripe)) return request;
  }
}

void PushWork::release(std::size_t stripe, const Request& request) {
  {
    const std::lock_guard lock(mutex_);
    schedule_.release(stripe, request);
  }
  changed_();
}

bool PushWork::isDone() const {
  const std::lock_guard lock(mutex_);
  return schedule_.isDone();
}

std::uint64_t PushWork::heldBytes() const {
  const std::lock_guard lock(mutex_);
  return schedule_.heldBytes();
}

// --- opening ---

// Opens files until one has something for that stripe. False when there is none.
Result<bool> PushWork::openUntilWanted(std::size_t stripe) {
  const auto wants = [&] {
    const std::lock_guard lock(mutex_);
    return schedule_.wants(stripe);
  };
  if (wants()) return true;
  const std::lock_guard opening(opening_);
  while (true) {
    if (wants()) return true;
    const auto place = toOpen(stripe);
    if (!place) return false;
    const auto opened = open(*place);
    if (!opened) return opened.error();
    heldUp_[stripe] = !*opened;
    if (!*opened) return false;
  }
}

std::optional<std::size_t> PushWork::toOpen(std::size_t stripe) const {
  const std::lock_guard lock(mutex_);
  return stop_.stop_requested() ? std::nullopt : schedule_.toOpen(stripe);
}

// With opening_ held. False: another fetch or push has the file open.
Result<bool> PushWork::open(std::size_t place) {
  const auto& file = schedule_.file(place);
  auto target = Target::locate(options_.downloads, file.name, DotNames::none());
  if (!target) return ownDisk(target.error());
  const auto there = isThere(place, *target);
  if (!there) return there.error();
  if (*there) {
    {
      const std::lock_guard lock(mutex_);
      schedule_.alreadyThere(place);
    }
    changed_();
    return true;
  }
  auto folder = target->partFolder(options_.stateFolder);
  if (!folder) return ownDisk(folder.error());
  auto part =
      PartFile::open(std::make_shared<PartFolder>(std::move(*folder)), file.root, file.sizeBytes);
  if (!part && part.error().code == ErrorCode::failed) return false;
  if (!part) return ownDisk(part.error());
  const auto incoming = std::make_shared<Incoming>(std::move(*target), std::move(*part));
  const std::uint64_t chunkBytes = schedule_.chunkBytes(place);
  auto known = ChunkPlan::ofOneChunk(file.root, file.sizeBytes, chunkBytes);
  const auto& earlier = incoming->part.earlierPlan();
  if (!known && earlier && earlier->chunkBytes == chunkBytes) known = earlier;
  bool complete = false;
  std::vector<std::uint64_t> held;
  if (known) {
    auto begun = begin(place, *incoming, std::move(*known));
    if (!begun) return begun.error();
    held = std::move(*begun);
  }
  {
    const std::lock_guard lock(mutex_);
    schedule_.opened(place);
    incoming_[place] = incoming;
    if (known) schedule_.learned(place, held);
    complete = schedule_.isComplete(place);
  }
  if (!complete) return true;
  if (auto published = publish(place, *incoming); !published) return published.error();
  return true;
}

// Whether the very file was there before the push. Another file of that name is an error.
Result<bool> PushWork::isThere(std::size_t place, const Target& target) {
  const auto& file = schedule_.file(place);
  const auto existing = target.compare(file.root, file.sizeBytes, stop_);
  if (!existing) return ownDisk(existing.error());
  switch (*existing) {
    case Target::Existing::nothing:
      return false;
    case Target::Existing::different:
      return differs(file.name);
    case Target::Existing::same:
      break;
  }
  if (auto kept = keepExisting(place, target.path()); !kept) return ownDisk(kept.error());
  return true;
}

// A file that was there before the push is served to other receivers, and not fetched.
Result<void> PushWork::keepExisting(std::size_t place, const std::string& path) {
  const auto& file = schedule_.file(place);
  auto opened = openPushed(path, file.sizeBytes, stop_, {});
  if (!opened) return opened.error();
  if (opened->plan.root != file.root) {
    return Error{ErrorCode::failed, fmt::format("{} has changed", escaped(file.name))};
  }
  partial_[place]->begin(std::move(opened->plan), std::move(opened->file));
  partial_[place]->finish();
  return {};
}

// Starts the part and offers it to other peers; returns the chunks of an earlier run. Called once,
// either while no other thread has the file or with `learning` held: it reads what lies on the
// disk.
Result<std::vector<std::uint64_t>> PushWork::begin(std::size_t place, Incoming& incoming,
                                                   ChunkPlan plan) {
  auto held = incoming.part.begin(std::move(plan), stop_);
  if (!held) return ownDisk(held.error());
  if (auto given = incoming.part.reportTo(partial_[place], *held); !given) {
    return ownDisk(given.error());
  }
  incoming.learned = true;
  return held;
}

// --- what arrives ---

// Nothing once it was published.
std::shared_ptr<PushWork::Incoming> PushWork::incoming(std::size_t place) const {
  const std::lock_guard lock(mutex_);
  return incoming_[place];
}

Result<void> PushWork::learn(const Request& request, ChunkPlan plan) {
  const auto file = incoming(request.file);
  if (!file) return {};
  const std::lock_guard learning(file->learning);
  if (file->learned) return {};
  const auto held = begin(request.file, *file, std::move(plan));
  if (!held) return held.error();
  {
    const std::lock_guard lock(mutex_);
    schedule_.learned(request.file, *held);
    if (!schedule_.isComplete(request.file)) return {};
  }
  return publish(request.file, *file);  // all of it lay on the disk
}

Result<void> PushWork::received(const Request& request, std::uint64_t chunk,
                                std::span<const std::byte> data) {
  const auto file = incoming(request.file);
  if (!file) return {};
  const bool isRight = file->part.plan().isRight(chunk, data);
  if (options_.chunks != nullptr) options_.chunks->count(isRight);
  if (!isRight) {
    return Error{ErrorCode::protocol, fmt::format("it sent a damaged chunk {}", chunk)};
  }
  if (auto written = file->part.write(chunk, data); !written) return ownDisk(written.error());
  file->holdsData = true;
  receivedBytes_ += data.size();
  {
    const std::lock_guard lock(mutex_);
    const bool isNew = schedule_.obtained(request.file, chunk);
    if (!isNew || !schedule_.isComplete(request.file)) return {};
  }
  return publish(request.file, *file);
}

Result<void> PushWork::publish(std::size_t place, Incoming& incoming) {
  const auto& file = schedule_.file(place);
  if (auto synced = incoming.part.sync(); !synced) return ownDisk(synced.error());
  if (options_.verified) {
    options_.verified(incoming.part.path(), file.root, incoming.part.plan().hashesOfShare());
  }
  auto folder = incoming.target.folder();
  if (!folder) return ownDisk(folder.error());
  const auto published = incoming.part.publish(folder->get(), incoming.target.leaf(), false);
  if (!published) return ownDisk(published.error());
  if (!*published) return differs(file.name);
  incoming.target.removePartFolder();
  {
    const std::lock_guard lock(mutex_);
    schedule_.published(place);
    incoming_[place].reset();
  }
  changed_();
  return {};
}

}  // namespace espalier::transfer
