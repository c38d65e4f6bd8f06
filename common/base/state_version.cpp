#include "common/base/state_version.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <limits>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier {

std::optional<unsigned> textVersion(std::string_view bytes, std::string_view kind) {
  if (!bytes.starts_with(kind)) return std::nullopt;
  bytes.remove_prefix(kind.size());
  if (!bytes.starts_with(' ')) return std::nullopt;
  bytes = bytes.substr(1, bytes.find_first_of(" \n", 1) - 1);
  unsigned version = 0;
  const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), version);
  if (end != bytes.data() + bytes.size() || bytes.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::numeric_limits<unsigned>::max();
  if (error != std::errc() || version == 0) return std::nullopt;
  return version;
}

std::optional<unsigned> binaryVersion(std::string_view bytes, std::string_view kind) {
  if (!bytes.starts_with(kind) || bytes.size() == kind.size()) return std::nullopt;
  const char digit = bytes[kind.size()];
  if (digit >= '1' && digit <= '9') return static_cast<unsigned>(digit - '0');
  if (digit >= 'A' && digit <= 'Z') return static_cast<unsigned>(digit - 'A') + 10;
  return std::nullopt;
}

Result<void> checkStateVersion(std::string_view path, unsigned found, unsigned newest) {
  if (found <= newest) return {};
  return Error{ErrorCode::configuration,
               fmt::format("{} was written by a newer version of this program (format {}; this one "
                           "reads up to {}): use the newer one",
                           escaped(path), found, newest)};
}

Result<std::string> keepDamaged(const std::string& path) {
  std::string kept = path + ".damaged";
  for (unsigned number = 2;; ++number) {
    if (::link(path.c_str(), kept.c_str()) == 0) return kept;
    if (errno != EEXIST || number > limits::kDamagedKept) break;
    kept = fmt::format("{}.damaged-{}", path, number);
  }
  // All names are taken, or the file system has no hard links.
  const auto bytes = readFile(path, limits::kStateFileBytes);
  if (!bytes) return bytes.error();
  const auto copied = replaceFile(kept, *bytes, Durability::durable, kPrivate);
  if (!copied) return copied.error();
  return kept;
}

}  // namespace espalier
