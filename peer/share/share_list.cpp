#include "peer/share/share_list.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

using Json = nlohmann::json;

constexpr unsigned kListVersion = 2;

// Whether `wanted` holds for a name or path, or for one of the folders above it.
bool isAnyAbove(std::string_view text, const auto& wanted) {
  for (std::size_t end = text.find('/', 1); end < text.size(); end = text.find('/', end + 1)) {
    if (wanted(text.substr(0, end))) return true;
  }
  return wanted(text);
}

bool isIn(const ShareList::Names& names, std::string_view text) {
  return !names.empty() &&
         isAnyAbove(text, [&](std::string_view above) { return names.contains(above); });
}

std::size_t sizeOf(const ShareList& list) {
  return list.shared.size() + std::max(list.hidden.size(), list.unshared.size()) +
         list.named.size();
}

// The format's version: 1 if there is no number. Nothing: it is no number.
std::optional<unsigned> versionOf(const Json& object) {
  const auto found = object.find("version");
  if (found == object.end()) return 1;
  if (!found->is_number_unsigned()) return std::nullopt;
  return static_cast<unsigned>(std::min<std::uint64_t>(found->get<std::uint64_t>(), 1u << 30));
}

bool readStrings(const Json& object, const char* key, auto& strings) {
  const auto found = object.find(key);
  if (found == object.end()) return true;
  if (!found->is_array() || found->size() > limits::kShareListPaths) return false;
  for (const auto& one : *found) {
    if (!one.is_string()) return false;
    strings.insert(one.template get<std::string>());
  }
  return true;
}

}  // namespace

bool isAtOrBelow(std::string_view text, std::string_view top) {
  return text.starts_with(top) &&
         (text.size() == top.size() || top.empty() || top == "/" || text[top.size()] == '/');
}

bool ShareList::isUnshared(std::string_view name, std::string_view path) const {
  return isIn(hidden, name) || isIn(unshared, path);
}

bool ShareList::isUnsharedItself(std::string_view name, std::string_view path) const {
  return hidden.contains(name) || unshared.contains(path);
}

bool ShareList::isDotHidden(std::string_view name, std::size_t labelBytes) const {
  std::size_t checked = std::min(name.size(), labelBytes);  // what no dot can hide
  if (!named.empty()) {
    isAnyAbove(name, [&](std::string_view above) {
      if (named.contains(above)) checked = std::max(checked, above.size());
      return false;
    });
  }
  std::string_view rest = name.substr(checked);
  if (rest.starts_with('/')) rest.remove_prefix(1);
  return hasDotName(rest);
}

bool ShareList::hasNamedBelow(std::string_view folder) const {
  const std::string prefix = folder.empty() ? "" : std::string(folder) + '/';
  const auto next = named.lower_bound(prefix);
  return next != named.end() && next->starts_with(prefix);
}

Result<void> saveShareList(const fs::path& file, const ShareList& list) {
  if (sizeOf(list) > limits::kShareListPaths) {
    return Error{ErrorCode::usage, "more than " + std::to_string(limits::kShareListPaths) +
                                       " paths were shared or unshared by hand"};
  }
  const Json object{{"version", kListVersion},
                    {"shared", list.shared},
                    {"hidden", list.hidden},
                    {"unshared", list.unshared},
                    {"named", list.named}};
  return replaceFile(file.string(),
                     object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n",
                     Durability::durable, kPrivate);
}

Result<ShareList> loadShareList(const fs::path& file) {
  const auto bytes = readFile(file.string(), limits::kShareListBytes);
  if (!bytes && bytes.error().code == ErrorCode::failed) return ShareList{};
  if (!bytes) return bytes.error();
  const Error damaged{ErrorCode::io, file.string() + " is damaged"};
  const Json object = Json::parse(*bytes, nullptr, false);
  if (!object.is_object()) return damaged;
  const auto version = versionOf(object);
  if (!version) return damaged;
  if (auto known = checkStateVersion(file.string(), *version, kListVersion); !known) {
    return known.error();
  }
  ShareList list;
  const bool read =
      readStrings(object, "shared", list.shared) && readStrings(object, "hidden", list.hidden) &&
      readStrings(object, "unshared", list.unshared) && readStrings(object, "named", list.named);
  if (!read) return damaged;
  return list;
}

}  // namespace espalier::share
