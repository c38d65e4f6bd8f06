#include "peer/shell/instance_key.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/state_version.h"
#include "common/base/text.h"

namespace espalier::peer::shell {
namespace {

constexpr std::size_t kDigits = InstanceKey::kSizeBytes * 2;
constexpr unsigned kVersion = 1;

std::string pathOf(const std::string& stateFolder) {
  return stateFolder + "/instance.key";
}

Result<void> keep(const std::string& path, const InstanceKey& key) {
  return replaceFile(path, toHex(key.view()) + "\n", Durability::durable, kPrivate);
}

}  // namespace

Result<InstanceKey> loadInstanceKey(const std::string& stateFolder) {
  const std::string path = pathOf(stateFolder);
  const auto text = readFile(path, limits::kKeyFileBytes);
  if (!text && text.error().code == ErrorCode::failed) {
    const auto key = randomFromKernel<InstanceKey>();
    if (const auto kept = keep(path, key); !kept) return kept.error();
    return key;
  }
  const std::string_view line = text ? std::string_view(*text) : "";
  if (const auto version = textVersion(line, "espalier-key")) {
    if (const auto known = checkStateVersion(path, *version, kVersion); !known) {
      return known.error();
    }
  }
  const auto key =
      line.ends_with('\n') ? fromHex<InstanceKey>(line.substr(0, line.size() - 1)) : std::nullopt;
  if (key) return *key;
  return Error{ErrorCode::configuration,
               fmt::format("{} is damaged: it should be {} hexadecimal digits; move it away to "
                           "join as a new peer",
                           escaped(path), kDigits)};
}

Result<void> restoreInstanceKey(const std::string& stateFolder, const InstanceKey& key) {
  const std::string path = pathOf(stateFolder);
  if (::access(path.c_str(), F_OK) == 0) return {};
  return keep(path, key);
}

}  // namespace espalier::peer::shell
