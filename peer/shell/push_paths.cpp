#include "peer/shell/push_paths.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.h"
#include "peer/core/pattern.h"
#include "peer/shell/file_search.h"

namespace espalier::peer::shell {
namespace {

using transfer::PushPath;

bool isPath(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ||
         (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG);
}

// `name` without its first `folders` components.
std::string without(const std::string& name, std::ptrdiff_t folders) {
  std::size_t begin = 0;
  for (; folders > 0; --folders) begin = name.find('/', begin) + 1;
  return name.substr(begin);
}

std::vector<const share::Entry*> matching(const share::Snapshot& snapshot, PatternKind kind,
                                          const std::string& text) {
  std::vector<const share::Entry*> found;
  const auto pattern = Pattern::compile(kind, text);
  if (!pattern) return found;
  for (const auto& entry : snapshot.entries()) {
    if (pattern->matches(entry->name, entry->root)) found.push_back(entry.get());
  }
  return found;
}

std::vector<PushPath> named(std::string name, const share::Snapshot& snapshot) {
  while (name.ends_with('/')) name.pop_back();
  std::vector<PushPath> result;
  if (name.empty()) return result;
  const auto depth = std::count(name.begin(), name.end(), '/');
  const auto add = [&](const std::vector<const share::Entry*>& entries, bool below) {
    for (const auto* entry : entries) {
      const auto folders = below ? depth : std::count(entry->name.begin(), entry->name.end(), '/');
      result.emplace_back(snapshot.file(*entry).path.string(), without(entry->name, folders));
    }
    return !result.empty();
  };
  if (const auto* exact = snapshot.find(name); exact != nullptr && add({exact}, false)) {
    return result;
  }
  if (add(matching(snapshot, PatternKind::path, name), false)) return result;
  if (add(matching(snapshot, PatternKind::glob, literalGlob(name) + "/*"), true)) return result;
  if (name.find_first_of("*?[") != name.npos) {
    add(matching(snapshot, PatternKind::glob, name), false);
  }
  return result;
}

}  // namespace

Result<std::vector<PushPath>> pushPaths(const std::vector<std::string>& paths,
                                        const std::vector<std::string>& names,
                                        const share::Snapshot& snapshot) {
  std::vector<PushPath> result;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (isPath(paths[i]) || i >= names.size()) {
      result.emplace_back(paths[i]);
      continue;
    }
    auto found = named(names[i], snapshot);
    if (found.empty()) {
      return Error{ErrorCode::io,
                   fmt::format("cannot push {}: there is no such file, and none of that name is "
                               "shared",
                               escaped(names[i]))};
    }
    for (auto& each : found) result.push_back(std::move(each));
  }
  return result;
}

}  // namespace espalier::peer::shell
