#include "peer/shell/fetch_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::peer::shell {

std::vector<DownloadRequest> byRoot(std::vector<FoundFile> files) {
  std::vector<DownloadRequest> requests;
  std::map<FileRoot, std::size_t> places;
  for (auto& file : files) {
    const auto [place, isFirst] = places.try_emplace(file.root, requests.size());
    if (isFirst) {
      requests.push_back({std::move(file), {}, false, {}});
      continue;
    }
    const auto same = requests.begin() + static_cast<std::ptrdiff_t>(place->second);
    const auto other = std::find_if(same->others.begin(), same->others.end(), [&](const auto& one) {
      return one.sizeBytes == file.sizeBytes;
    });
    const bool isNew = same->file.sizeBytes != file.sizeBytes && other == same->others.end();
    if (isNew) {
      same->others.push_back(std::move(file));
      continue;
    }
    auto& holders = same->file.sizeBytes == file.sizeBytes ? same->file.holders : other->holders;
    holders.insert(holders.end(), file.holders.begin(), file.holders.end());
    holders = mergeHolders(std::move(holders));
  }
  return requests;
}

std::vector<std::string> plainNames(const std::vector<FoundFile>& files) {
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const auto& file : files) {
    const auto leaf = file.name.substr(file.name.rfind('/') + 1);
    const bool isPlain = !leaf.empty() && leaf.size() <= limits::kNameBytes &&
                         !leaf.starts_with('.') && escaped(leaf) == leaf;
    if (isPlain && known.insert(leaf).second) names.push_back(leaf);
  }
  return names;
}

std::string whichName(const std::string& root, const std::vector<std::string>& names) {
  std::string question = fmt::format("{} has {} names:\n", root, names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    question += fmt::format("{}  {}\n", i + 1, escaped(names[i]));
  }
  return question + fmt::format("which one (1 to {}, Enter for none)> ", names.size());
}

Result<std::size_t> askWhich(std::string question, std::size_t count, const std::string& name,
                             command::Context& context) {
  while (true) {
    const auto answer = context.ask(question);
    if (context.stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (!answer || answer->empty()) {
      return Error{ErrorCode::failed, fmt::format("{}: nothing chosen", escaped(name))};
    }
    std::size_t number = 0;
    const auto [end, error] =
        std::from_chars(answer->data(), answer->data() + answer->size(), number);
    if (error == std::errc() && end == answer->data() + answer->size() && number >= 1 &&
        number <= count) {
      return number - 1;
    }
    question = fmt::format("a number from 1 to {}, or Enter for none> ", count);
  }
}

}  // namespace espalier::peer::shell
