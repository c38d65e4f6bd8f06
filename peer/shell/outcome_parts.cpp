#include "peer/shell/outcome_parts.h"

#include <fmt/chrono.h>
#include "common/base/text.h"

namespace espalier::peer::shell {

Json fileData(const std::string& name, std::uint64_t sizeBytes, const FileRoot& root) {
  Json data;
  data["name"] = name;
  data["size"] = sizeBytes;
  data["root"] = toHex(root.view());
  return data;
}

std::vector<std::string> textsOf(const std::vector<PeerId>& ids) {
  std::vector<std::string> texts;
  for (const auto& id : ids) texts.push_back(id.text());
  return texts;
}

std::string secondsText(double seconds) {
  return formatDuration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
}

std::string isoTime(std::chrono::milliseconds at) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string localTime(std::chrono::milliseconds at) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at).count();
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(static_cast<std::time_t>(seconds)));
}

}  // namespace espalier::peer::shell
