#include "peer/share/problems.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::share {
namespace {

constexpr std::array kSentences{
    "not shared, because the name is not UTF-8",
    "not shared, because the path is too long",
    "not shared, because it cannot be read",
    "not shared: there are too many",
    "not shared until it rests, because it changes all the time",
};

}  // namespace

void Problems::add(Problem problem, const std::string& path) {
  auto& kind = kinds_[static_cast<std::size_t>(problem)];
  if (kind.paths.size() >= limits::kToldPaths || !kind.paths.insert(path).second) return;
  if (kind.first.empty()) kind.first = path;
  kind.news = true;
}

void Problems::tell(const std::function<void(const Notice&)>& onNotice) {
  for (std::size_t i = 0; i < kKinds; ++i) {
    auto& kind = kinds_[i];
    if (!std::exchange(kind.news, false)) continue;
    const std::size_t others = kind.paths.size() - 1;
    std::string text = escaped(kind.first);
    if (others > 0) {
      text += fmt::format(" and {}{}", others >= limits::kToldPaths - 1 ? "more than " : "",
                          counted(others, "other", "others"));
    }
    onNotice({log::Level::warning, text + ": " + kSentences[i]});
  }
}

}  // namespace espalier::share
