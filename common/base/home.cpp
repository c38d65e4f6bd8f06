#include "common/base/home.h"

#include <fmt/format.h>

#include <cstdlib>

#include "common/base/text.h"

namespace espalier {

std::optional<std::string> homeFolder() {
  const char* home = std::getenv("HOME");
  return home == nullptr ? std::nullopt : std::optional<std::string>(home);
}

Result<std::string> expandHome(std::string_view path, const std::optional<std::string>& home) {
  if (!path.starts_with('~')) return std::string(path);
  if (path.size() > 1 && path[1] != '/') {
    return Error{
        ErrorCode::usage,
        fmt::format("{0}: only ~/ stands for a home folder; ./{0} names what begins with a ~",
                    escaped(path))};
  }
  if (!home || !home->starts_with('/')) {
    return Error{ErrorCode::usage,
                 fmt::format("{}: HOME is {}, so ~ stands for no folder", escaped(path),
                             home ? "no absolute path" : "not set")};
  }
  std::string_view folder = *home;
  while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
  if (folder == "/" && path.size() > 1) folder = "";
  return std::string(folder) + std::string(path.substr(1));
}

}  // namespace espalier
