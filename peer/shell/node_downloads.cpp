// The part of Node that fetches single files, and holds downloads up.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.h"
#include "peer/shell/node.h"

namespace espalier::peer::shell {
namespace {

void show(const transfer::FetchProgress& state, ActiveTransfer& shown) {
  shown.doneBytes = state.heldBytes;
  shown.peers.clear();
  shown.bytesPerSecond = 0;
  shown.position = 0;
  for (const auto& source : state.sources) {
    shown.peers.push_back(source.id);
    shown.bytesPerSecond += source.bytesPerSecond;
    if (source.position > 0) {
      shown.position =
          shown.position == 0 ? source.position : std::min(shown.position, source.position);
    }
  }
  if (shown.state == ActiveTransfer::State::paused) return;
  const bool waits = shown.position > 0 && shown.bytesPerSecond == 0;
  shown.state = waits ? ActiveTransfer::State::waiting : ActiveTransfer::State::active;
}

std::vector<transfer::Holder> othersOf(const FoundFile& file, const PeerId& self) {
  std::vector<transfer::Holder> others;
  for (const auto& holder : file.holders) {
    if (holder.id != self) others.push_back({holder.id, holder.endpoint, holder.partial});
  }
  return others;
}

// s1 200.0 MB/s, s3 110.0 MB/s, s4 position 2 in the queue
std::string bySource(const transfer::FetchProgress& state) {
  std::string text;
  for (const auto& source : state.sources) {
    if (!text.empty()) text += ", ";
    text += source.id.text();
    text += source.position > 0 ? fmt::format(" position {} in the queue", source.position)
                                : " " + formatRate(source.bytesPerSecond);
  }
  return text;
}

}  // namespace

// Whoever says where a file goes may call it as he likes.
transfer::DotNames dotsOf(const Destination& destination) {
  return destination.form == Destination::Form::downloads
             ? transfer::DotNames::typed(destination.typed)
             : transfer::DotNames::all();
}

std::vector<transfer::Holder> Node::holdersOf(const FileRoot& root, std::uint64_t size,
                                              std::stop_token stop) {
  std::vector<transfer::Holder> holders;
  const auto found = find({PatternKind::root, toHex(root.view())}, std::move(stop), {});
  if (!found) return holders;
  for (const auto& file : found->files) {
    if (file.sizeBytes != size) continue;
    const auto others = othersOf(file, options_.id);
    holders.insert(holders.end(), others.begin(), others.end());
  }
  return holders;
}

Result<std::vector<ActiveTransfer>> Node::control(TransferControl what,
                                                  const std::vector<std::uint64_t>& numbers) {
  return downloads_.control(what, numbers);
}

Rates Node::limit(std::optional<std::uint64_t> upload, std::optional<std::uint64_t> download) {
  if (upload) uploadRate_.set(*upload);
  if (download) downloadRate_.set(*download);
  return {uploadRate_.get(), downloadRate_.get()};
}

Result<Fetched> Node::fetch(const DownloadRequest& request, std::stop_token stop,
                            const OnProgress& progress) {
  transfer::FetchRequest wanted;
  wanted.root = request.file.root;
  wanted.size = request.file.sizeBytes;
  wanted.force = request.force;
  wanted.saveAs = request.file.name;
  wanted.holders = othersOf(request.file, options_.id);
  // What only this peer has is fetched from itself.
  if (wanted.holders.empty()) wanted.holders = othersOf(request.file, {});
  for (const auto& other : request.others) {
    wanted.otherSizes.push_back({other.sizeBytes, othersOf(other, options_.id)});
  }
  wanted.search = [this, root = wanted.root](std::uint64_t size, std::stop_token token) {
    return holdersOf(root, size, std::move(token));
  };
  wanted.dots = dotsOf(request.destination);
  switch (request.destination.form) {
    case Destination::Form::downloads:
      wanted.folder = options_.downloads;
      // What will be shared is, chunk by chunk.
      if (options_.downloads == options_.share && index_->wouldShare(wanted.saveAs)) {
        wanted.partialFiles = &partialFiles_;
      }
      break;
    case Destination::Form::folder:
      wanted.folder = request.destination.path;
      break;
    case Destination::Form::file: {
      const fs::path path(request.destination.path);
      wanted.folder = path.has_parent_path() ? path.parent_path().string() : ".";
      wanted.saveAs = path.filename().string();
      break;
    }
  }
  auto download = downloads_.begin(wanted.saveAs, wanted.size);
  std::uint64_t counted = 0;
  const auto onProgress = [&](const transfer::FetchProgress& state) {
    const std::uint64_t received = state.heldBytes - state.resumedBytes;
    if (received > counted) receivedBytes_ += received - counted;
    counted = std::max(counted, received);
    download.update([&](ActiveTransfer& shown) { show(state, shown); });
    if (progress) {
      progress({wanted.saveAs, state.heldBytes, state.size, command::Unit::bytes, bySource(state)});
    }
  };
  const auto result = download.attempts<transfer::FetchResult>(stop, [&](std::stop_token token) {
    counted = 0;
    return downloader_->fetch(wanted, std::move(token), onProgress);
  });
  if (!result) return result.error();
  Fetched fetched;
  fetched.name = request.file.name;
  fetched.sizeBytes = result->size;
  fetched.root = wanted.root;
  fetched.path = result->path;
  fetched.seconds = std::chrono::duration<double>(result->elapsed).count();
  std::uint64_t bytes = 0;
  for (const auto& source : result->sources) {
    bytes += source.bytes;
    const auto known = std::find(fetched.sources.begin(), fetched.sources.end(), source.id);
    if (source.bytes > 0 && known == fetched.sources.end()) fetched.sources.push_back(source.id);
  }
  if (bytes > counted) receivedBytes_ += bytes - counted;
  return fetched;
}

}  // namespace espalier::peer::shell
