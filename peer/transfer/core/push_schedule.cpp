#include "peer/transfer/core/push_schedule.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/base/limits.h"
#include "common/crypto/file_tree.h"
#include "peer/core/push_chunks.h"

namespace espalier::transfer {
namespace {

// Of one request. Several requests are under way, so that the next one is already there when one
// has been answered.
constexpr std::uint32_t kRunChunks = limits::kPushAhead / 4;

SourceId askerOf(std::size_t stripe) {
  return SourceId{static_cast<std::uint32_t>(stripe)};
}

}  // namespace

PushSchedule::PushSchedule(std::vector<wire::PushFile> files) {
  files_.reserve(files.size());
  for (auto& file : files) files_.push_back({std::move(file)});
}

std::uint64_t PushSchedule::chunkBytes(std::size_t place) const {
  return peer::pushChunkBytesFor(files_[place].file.sizeBytes);
}

std::uint64_t PushSchedule::bytesOf(std::size_t place, std::uint64_t chunk) const {
  const std::uint64_t each = chunkBytes(place);
  return std::min(each, files_[place].file.sizeBytes - chunk * each);
}

bool PushSchedule::deal(std::size_t stripes) {
  if (std::exchange(stripes_, stripes) == stripes) return false;
  ++deals_;
  for (const auto place : open_) {
    File& file = files_[place];
    for (std::size_t stripe = 0; stripe < peer::kPushStripes; ++stripe) {
      file.chunks->release(askerOf(stripe));
    }
    file.from = {};
    file.listAsked = {};
  }
  return true;
}

// --- what to ask for ---

bool PushSchedule::isWanted(const File& file, std::size_t stripe, std::uint64_t chunk) const {
  return file.chunks->isMissing(ChunkIndex{chunk}) &&
         peer::stripeOf(file.file.root, chunk, stripes_) == stripe;
}

// The first open file with a chunk for that stripe; its `from` is the first such chunk.
PushSchedule::File* PushSchedule::wanted(std::size_t stripe) {
  if (stripe >= stripes_) return nullptr;
  for (const auto place : open_) {
    File& file = files_[place];
    auto& from = file.from[stripe];
    while (from < file.chunks->chunks() && !isWanted(file, stripe, from)) ++from;
    if (from < file.chunks->chunks()) return &file;
  }
  return nullptr;
}

bool PushSchedule::wants(std::size_t stripe) {
  return wanted(stripe) != nullptr;
}

std::optional<PushSchedule::Request> PushSchedule::next(std::size_t stripe) {
  File* const file = wanted(stripe);
  if (file == nullptr) return std::nullopt;
  auto& from = file->from[stripe];
  const auto place = static_cast<std::size_t>(file - files_.data());
  Request request{place, !file->listKnown && !file->listAsked[stripe], from, 0, deals_};
  while (request.count < kRunChunks && isWanted(*file, stripe, from)) {
    [[maybe_unused]] const bool asked = file->chunks->assignThis(askerOf(stripe), ChunkIndex{from});
    assert(asked);
    ++from;
    ++request.count;
  }
  file->listAsked[stripe] = true;
  return request;
}

void PushSchedule::release(std::size_t stripe, const Request& request) {
  File& file = files_[request.file];
  if (request.deal != deals_ || !file.chunks) return;
  for (std::uint64_t chunk = request.first; chunk < request.first + request.count; ++chunk) {
    file.chunks->release(askerOf(stripe), ChunkIndex{chunk});
  }
  file.from = {};
  file.listAsked[stripe] = false;
}

// --- files ---

std::optional<std::size_t> PushSchedule::toOpen(std::size_t stripe) const {
  const bool may =
      stripe < stripes_ && toOpen_ < files_.size() && open_.size() < limits::kPushFilesOpen;
  return may ? std::optional(toOpen_) : std::nullopt;
}

void PushSchedule::opened(std::size_t place) {
  assert(place == toOpen_);
  ++toOpen_;
  File& file = files_[place];
  file.chunks.emplace(crypto::chunkCount(file.file.sizeBytes, chunkBytes(place)));
  open_.push_back(place);
}

void PushSchedule::alreadyThere(std::size_t place) {
  assert(place == toOpen_);
  ++toOpen_;
  ++finished_;
  heldBytes_ += files_[place].file.sizeBytes;
}

void PushSchedule::learned(std::size_t place, std::span<const std::uint64_t> held) {
  files_[place].listKnown = true;
  for (const auto chunk : held) obtained(place, chunk);
}

bool PushSchedule::obtained(std::size_t place, std::uint64_t chunk) {
  File& file = files_[place];
  if (!file.chunks || !file.chunks->obtain(ChunkIndex{chunk})) return false;
  heldBytes_ += bytesOf(place, chunk);
  return true;
}

bool PushSchedule::isComplete(std::size_t place) const {
  return files_[place].chunks && files_[place].chunks->complete();
}

void PushSchedule::published(std::size_t place) {
  files_[place].chunks.reset();
  std::erase(open_, place);
  ++finished_;
}

}  // namespace espalier::transfer
