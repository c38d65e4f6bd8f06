// The part of Node that fetches many files at once.
#include <map>

#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/shell/node.h"
#include "peer/transfer/many_files.h"

namespace espalier::peer::shell {
namespace {

// One id at two endpoints is two holders.
using Places = std::map<std::pair<PeerId, Endpoint>, std::size_t>;

// Holders by their place in the list; this peer itself only where nobody else has the file.
std::vector<std::size_t> placesOf(const FoundFile& file, const PeerId& self, Places& places,
                                  std::vector<transfer::Holder>& holders) {
  std::vector<std::size_t> result;
  for (const auto& holder : file.holders) {
    if (holder.id == self && file.holders.size() > 1) continue;
    const auto [place, added] =
        places.emplace(std::pair(holder.id, holder.endpoint), holders.size());
    if (added) holders.push_back({holder.id, holder.endpoint});
    result.push_back(place->second);
  }
  return result;
}

}  // namespace

void Node::fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                     const OnProgress& progress, const OnFetched& each) {
  if (requests.empty()) return;
  const TimePoint started = Clock::now();
  const Destination& destination = requests.front().destination;
  transfer::ManyRequest wanted;
  wanted.dots = dotsOf(destination);
  wanted.folder =
      destination.form == Destination::Form::folder ? destination.path : options_.downloads;
  Places places;
  std::uint64_t totalBytes = 0;
  std::vector<transfer::ManyFile> files;
  for (const auto& request : requests) {
    const FoundFile& file = request.file;
    // Of which size it is has to be found out first: without holders it is left to fetch().
    const auto holders = request.others.empty()
                             ? placesOf(file, options_.id, places, wanted.holders)
                             : std::vector<std::size_t>();
    files.push_back({file.root, file.sizeBytes, file.name, holders});
    totalBytes += file.sizeBytes;
  }
  const std::string what = counted(requests.size(), "file");
  std::optional<Downloads::Download> download = downloads_.begin(what, totalBytes);
  std::uint64_t doneBytes = 0;
  std::vector<bool> told(requests.size());
  std::vector<std::size_t> asked;  // the requests that wanted.files are
  const auto fetched = [&](std::size_t place, std::size_t holder) {
    const std::size_t file = asked[place];
    const FoundFile& found = requests[file].file;
    told[file] = true;
    doneBytes += found.sizeBytes;
    receivedBytes_ += found.sizeBytes;
    const std::string slash = wanted.folder.ends_with('/') ? "" : "/";
    each(file, Fetched{found.name,
                       found.sizeBytes,
                       found.root,
                       wanted.folder + slash + found.name,
                       {wanted.holders[holder].id},
                       std::chrono::duration<double>(Clock::now() - started).count()});
    download->update([&](ActiveTransfer& shown) { shown.doneBytes = doneBytes; });
    if (progress) progress({what, doneBytes, totalBytes, command::Unit::bytes});
  };
  // After a pause those are left that were not fetched before it.
  const auto attempt = [&](std::stop_token token) {
    wanted.files.clear();
    asked.clear();
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (told[i]) continue;
      wanted.files.push_back(files[i]);
      asked.push_back(i);
    }
    return transfer::fetchMany(wanted, downloader_->options(), std::move(token), fetched);
  };
  auto result = download->attempts<transfer::ManyResult>(stop, attempt);
  download.reset();
  if (!result) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!told[i]) each(i, result.error());
    }
    return;
  }
  for (auto& [place, problem] : result->left) {
    const std::size_t file = asked[place];
    if (problem) {
      each(file, std::move(*problem));
    } else {
      each(file, fetch(requests[file], stop, progress));
    }
  }
}

}  // namespace espalier::peer::shell
