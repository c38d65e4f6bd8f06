#include "peer/share/problems.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::share {
namespace {

constexpr std::array kSentences{
    "not shared, because the name is not UTF-8",
    "not shared, because the name has control characters",
    "not shared, because the path is too long",
    "not shared, because the path has too many folders",
    "not shared, because the name begins with a dot: `share` of that name or --share-hidden shares "
    "it",
    "not shared, because it cannot be read",
    "not shared: there are too many",
    "not shared yet, because it changes all the time",
};

std::string exampleOf(const std::set<std::string>& names) {
  std::string text = escaped(*names.begin());
  const std::size_t others = names.size() - 1;
  if (others == 0) return text;
  return text + fmt::format(" and {}{}", others >= limits::kToldPaths - 1 ? "more than " : "",
                            counted(others, "other", "others"));
}

}  // namespace

void Problems::add(Problem problem, const std::string& name, const std::string& reason) {
  auto& kind = kinds_[static_cast<std::size_t>(problem)];
  kind.solved.erase(name);
  if (kind.told.contains(name) || kind.told.size() + kind.fresh.size() >= limits::kToldPaths) {
    return;
  }
  if (kind.fresh.insert(name).second && *kind.fresh.begin() == name) kind.reason = reason;
}

void Problems::solve(Problem problem, const std::string& name) {
  auto& kind = kinds_[static_cast<std::size_t>(problem)];
  kind.fresh.erase(name);
  if (kind.told.erase(name) > 0) kind.solved.insert(name);
}

void Problems::drop(Problem problem, const std::string& name) {
  auto& kind = kinds_[static_cast<std::size_t>(problem)];
  kind.fresh.erase(name);
  kind.told.erase(name);
  kind.solved.erase(name);
}

void Problems::tell(const Notify& notify) {
  for (std::size_t i = 0; i < kKinds; ++i) {
    auto& kind = kinds_[i];
    if (!kind.fresh.empty()) {
      const std::string reason = kind.reason.empty() ? "" : " (" + kind.reason + ")";
      const bool asMeant = i == static_cast<std::size_t>(Problem::dotName);
      notify({asMeant ? log::Level::info : log::Level::warning,
              exampleOf(kind.fresh) + ": " + kSentences[i] + reason});
      kind.told.merge(kind.fresh);
      kind.fresh.clear();
    }
    if (!kind.solved.empty()) {
      notify({log::Level::info, exampleOf(kind.solved) + ": can be read again"});
      kind.solved.clear();
    }
  }
}

}  // namespace espalier::share
