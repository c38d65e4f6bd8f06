#include "peer/share/share_list.h"

#include <nlohmann/json.hpp>

#include "common/base/file.h"
#include "common/base/limits.h"

namespace espalier::share {
namespace {

using Json = nlohmann::json;

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

Result<void> saveShareList(const fs::path& file, const ShareList& list) {
  if (list.shared.size() + list.hidden.size() > limits::kShareListPaths) {
    return Error{ErrorCode::usage, "more than " + std::to_string(limits::kShareListPaths) +
                                       " paths were shared or unshared by hand"};
  }
  const Json object{{"shared", list.shared}, {"hidden", list.hidden}};
  return replaceFile(file.string(),
                     object.dump(1, ' ', false, Json::error_handler_t::replace) + "\n",
                     Durability::durable, kPrivate);
}

Result<ShareList> loadShareList(const fs::path& file) {
  const auto bytes = readFile(file.string(), limits::kShareListBytes);
  if (!bytes && bytes.error().code == ErrorCode::failed) return ShareList{};
  if (!bytes) return bytes.error();
  const Json object = Json::parse(*bytes, nullptr, false);
  ShareList list;
  if (!object.is_object() || !readStrings(object, "shared", list.shared) ||
      !readStrings(object, "hidden", list.hidden)) {
    return Error{ErrorCode::io, file.string() + " is damaged"};
  }
  return list;
}

}  // namespace espalier::share
