#include "peer/shell/many_download.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "common/base/text.h"

namespace espalier::peer::shell {
namespace {

// The position of a holder in the list. A holder is an endpoint: it is dialled once, whatever ids
// are said to be there.
using Positions = std::map<Endpoint, std::size_t>;

// The holders of a file; this peer itself only where no other peer has it.
std::vector<std::size_t> positionsOf(const FoundFile& file, const PeerId& self,
                                     Positions& positions, std::vector<Holder>& holders) {
  std::vector<std::size_t> result;
  for (const auto& holder : file.holders) {
    if (holder.id == self && file.holders.size() > 1) continue;
    const auto [position, added] = positions.emplace(holder.endpoint, holders.size());
    if (added) holders.push_back({holder.id, holder.endpoint});
    if (std::find(result.begin(), result.end(), position->second) == result.end()) {
      result.push_back(position->second);
    }
  }
  return result;
}

}  // namespace

ManyDownload::ManyDownload(Task task)
    : task_(std::move(task)),
      what_(counted(task_.requests.size(), "file")),
      told_(task_.requests.size()) {
  wanted_.dots = task_.dots;
  wanted_.folder = task_.folder;
  wanted_.dials = task_.dials;
  Positions positions;
  for (const auto& request : task_.requests) {
    const FoundFile& file = request.file;
    // A file of doubtful size gets no holders here, and is left for a download by itself.
    const auto holders = request.others.empty()
                             ? positionsOf(file, task_.self, positions, wanted_.holders)
                             : std::vector<std::size_t>();
    asked_.push_back(wanted_.files.size());
    wanted_.files.push_back({file.root, file.sizeBytes, file.name, holders});
    totalBytes_ += file.sizeBytes;
  }
}

// The files whose outcome was not reported yet, for the next attempt.
void ManyDownload::select() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (told_[asked_[i]]) continue;
    if (kept < i) {
      wanted_.files[kept] = std::move(wanted_.files[i]);
      asked_[kept] = asked_[i];
    }
    ++kept;
  }
  wanted_.files.resize(kept);
  asked_.resize(kept);
}

void ManyDownload::fetched(std::size_t place, std::size_t holder, ActiveDownloads& active,
                           ActiveDownloads::Handle& download) {
  const std::size_t request = asked_[place];
  const FoundFile& found = task_.requests[request].file;
  told_[request] = true;
  doneBytes_ += found.sizeBytes;
  active.received(found.sizeBytes);
  const std::string slash = wanted_.folder.ends_with('/') ? "" : "/";
  task_.each(request, Fetched{found.name,
                              found.sizeBytes,
                              found.root,
                              wanted_.folder + slash + found.name,
                              {wanted_.holders[holder].id},
                              std::chrono::duration<double>(Clock::now() - begun_).count()});
  download.update([&](ActiveTransfer& shown) { shown.doneBytes = doneBytes_; });
  if (task_.progress) task_.progress({what_, doneBytes_, totalBytes_, command::Unit::bytes});
}

std::vector<std::size_t> ManyDownload::run(const transfer::DownloaderOptions& options,
                                           ActiveDownloads& active, const std::stop_token& stop) {
  std::optional<Result<transfer::ManyResult>> result;
  {
    auto download = active.begin(what_, totalBytes_);
    const auto onFetched = [&](std::size_t place, std::size_t holder) {
      fetched(place, holder, active, download);
    };
    result = download.attempts<transfer::ManyResult>(stop, [&](std::stop_token token) {
      select();
      return transfer::fetchMany(wanted_, options, std::move(token), onFetched);
    });
  }
  if (!*result) {
    for (std::size_t i = 0; i < told_.size(); ++i) {
      if (!told_[i]) task_.each(i, result->error());
    }
    return {};
  }
  std::vector<std::size_t> left;
  for (auto& [place, problem] : (*result)->left) {
    if (problem) {
      task_.each(asked_[place], std::move(*problem));
    } else {
      left.push_back(asked_[place]);
    }
  }
  return left;
}

}  // namespace espalier::peer::shell
