#include "peer/share/share_rules.h"

#include <utility>

namespace espalier::share {

Result<void> ShareRules::load() {
  auto list = loadShareList(file_);
  if (!list) return list.error();
  list_ = std::move(*list);
  return {};
}

Result<void> ShareRules::change(ShareList list) {
  if (const auto saved = saveShareList(file_, list); !saved) return saved;
  list_ = std::move(list);
  return {};
}

void ShareRules::saveIfLost() {
  boost::system::error_code error;
  if (!fs::exists(file_, error) && list_ != ShareList{}) (void)saveShareList(file_, list_).ok();
}

void ShareRules::addUnsharedPaths() {
  for (const auto& name : list_.hidden) list_.unshared.insert(folders_.pathOf(name));
}

bool ShareRules::isUnshared(std::string_view name) const {
  if (list_.hidden.empty() && list_.unshared.empty()) return false;
  return list_.isUnshared(name, folders_.pathOf(name));
}

bool ShareRules::isShared(std::string_view name) const {
  return !isUnshared(name) && (shareHidden_ || !isDotHidden(list_, name));
}

bool ShareRules::isScanned(std::string_view name) const {
  return isShared(name) || (list_.hasNamedBelow(name) && !isUnshared(name));
}

bool ShareRules::isDotHidden(const ShareList& list, std::string_view name) const {
  // The user named the shared folder: dots in its own label hide nothing.
  const std::size_t label = folders_.at(folders_.indexOf(name)).label.size();
  return list.isDotHidden(name, label);
}

}  // namespace espalier::share
