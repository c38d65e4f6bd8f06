#include "peer/shell/file_downloads.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/fs.h"
#include "common/base/text.h"
#include "peer/shell/many_download.h"

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

std::vector<Holder> othersOf(const FoundFile& file, const PeerId& self) {
  std::vector<Holder> others;
  for (const auto& holder : file.holders) {
    if (holder.id != self) others.push_back(holder);
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

transfer::DotNames dotsOf(const Destination& destination) {
  return destination.form == Destination::Form::downloads
             ? transfer::DotNames::typed(destination.typed)
             : transfer::DotNames::all();
}

std::vector<Holder> FileDownloads::holdersOf(const FileRoot& root, std::uint64_t size,
                                             std::stop_token stop) {
  std::vector<Holder> holders;
  const auto found = search_.find({PatternKind::root, toHex(root.view())}, std::move(stop), {});
  if (!found) return holders;
  for (const auto& file : found->files) {
    if (file.sizeBytes != size) continue;
    const auto others = othersOf(file, search_.self());
    holders.insert(holders.end(), others.begin(), others.end());
  }
  return holders;
}

transfer::FetchRequest FileDownloads::transferOf(const DownloadRequest& request,
                                                 const std::stop_token& stop) {
  transfer::FetchRequest wanted;
  wanted.root = request.file.root;
  wanted.size = request.file.sizeBytes;
  wanted.force = request.force;
  wanted.saveAs = request.file.name;
  wanted.holders = othersOf(request.file, search_.self());
  // A file that only this peer has is fetched from itself.
  if (wanted.holders.empty()) wanted.holders = othersOf(request.file, {});
  for (const auto& other : request.others) {
    wanted.otherSizes.push_back({other.sizeBytes, othersOf(other, search_.self())});
  }
  wanted.search = [this, root = wanted.root](std::uint64_t size, std::stop_token token) {
    return holdersOf(root, size, std::move(token));
  };
  wanted.dots = dotsOf(request.destination);
  switch (request.destination.form) {
    case Destination::Form::downloads:
      wanted.folder = folders_.downloads;
      // What will be shared once it is whole is served chunk by chunk meanwhile.
      if (folders_.downloads == folders_.share && index_.wouldShare(wanted.saveAs, stop)) {
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
  return wanted;
}

Result<Fetched> FileDownloads::fetch(const DownloadRequest& request, std::stop_token stop,
                                     const OnProgress& progress) {
  return fetchOne(request, std::move(stop), progress, nullptr);
}

Result<Fetched> FileDownloads::fetchOne(const DownloadRequest& request, std::stop_token stop,
                                        const OnProgress& progress,
                                        std::shared_ptr<transfer::DialTargets> dials) {
  transfer::FetchRequest wanted = transferOf(request, stop);
  wanted.dials = std::move(dials);
  auto download = active_.begin(wanted.saveAs, wanted.size);
  std::uint64_t counted = 0;  // of this attempt's bytes
  const auto onProgress = [&](const transfer::FetchProgress& state) {
    const std::uint64_t received = state.heldBytes - state.resumedBytes;
    if (received > counted) active_.received(received - counted);
    counted = std::max(counted, received);
    download.update([&](ActiveTransfer& shown) { show(state, shown); });
    if (progress) {
      progress({wanted.saveAs, state.heldBytes, state.size, command::Unit::bytes, bySource(state)});
    }
  };
  const auto result = download.attempts<transfer::FetchResult>(stop, [&](std::stop_token token) {
    counted = 0;
    return downloader_.fetch(wanted, std::move(token), onProgress);
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
  if (bytes > counted) active_.received(bytes - counted);
  return fetched;
}

void FileDownloads::fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                              const OnProgress& progress, const OnFetched& each) {
  if (requests.empty()) return;
  const Destination& destination = requests.front().destination;
  const auto dials = std::make_shared<transfer::DialTargets>();
  const bool isGiven = destination.form == Destination::Form::folder;
  ManyDownload many({.requests = requests,
                     .folder = isGiven ? destination.path : folders_.downloads,
                     .dots = dotsOf(destination),
                     .self = search_.self(),
                     .dials = dials,
                     .progress = progress,
                     .each = each});
  for (const std::size_t left : many.run(downloader_.options(), active_, stop)) {
    each(left, fetchOne(requests[left], stop, progress, dials));
  }
}

}  // namespace espalier::peer::shell
