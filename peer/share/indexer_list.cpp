#include <algorithm>
#include <cerrno>
#include <future>

#include <fmt/format.h>

#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/indexer.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

Error refusal(const std::string& text) {
  return {ErrorCode::failed, text};
}

// Absolute, with the links of the folders above resolved, but not of the last component: a link is
// not shared, and must be seen.
fs::path resolved(const fs::path& path) {
  fs::path normal = fs::absolute(path).lexically_normal();
  if (normal.filename() == "." || normal.filename() == "/") normal = normal.parent_path();
  boost::system::error_code error;
  const fs::path above = fs::canonical(normal.parent_path(), error);
  return error ? normal : above / normal.filename();
}

fs::path resolvedFolder(const fs::path& path) {
  boost::system::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  return error ? path : canonical;
}

bool isThere(const fs::path& path) {
  boost::system::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_not_found;
}

std::string listed(const SharedFolder& folder) {
  return folder.single ? (folder.path / folder.label).string() : folder.path.string() + '/';
}

SharedFolder fromListed(const std::string& text) {
  const bool single = !text.ends_with('/');
  const fs::path path = single ? text : text.substr(0, text.size() - 1);
  return {path.filename().string(), single ? path.parent_path() : path, single};
}

}  // namespace

// The answer comes once what is gone is published; awaitPublished() waits for what was added.
Result<void> Indexer::onCommand(const std::function<Result<void>()>& command) {
  std::promise<Result<void>> answer;
  const bool posted = post([&] {
    auto result = command();
    if (catalogue_.changed()) publish();
    answer.set_value(std::move(result));
  });
  if (!posted) return refusal("too many paths are being shared or unshared: try again");
  return answer.get_future().get();
}

Result<void> Indexer::add(const fs::path& path, const std::string& name) {
  return onCommand([&] { return addNow(path, name); });
}

Result<void> Indexer::remove(const fs::path& path, const std::string& name) {
  return onCommand([&] { return removeNow(path, name); });
}

bool Indexer::wouldShare(const std::string& name) {
  const auto shared = onCommand([&]() -> Result<void> {
    if (nameFault(name) == NameFault::none && isShared(name)) return {};
    return refusal("not shared");
  });
  return shared.ok();
}

void Indexer::loadShareFolders() {
  folders_ = std::make_shared<const SharedFolders>();
  openShareFolder({"", fs::absolute(options_.root).lexically_normal(), false});
  auto list = loadShareList(listFile_);
  if (!list) {
    notice(log::Level::warning,
           list.error().message + ": what was shared or unshared by hand is forgotten");
    return;
  }
  list_ = std::move(*list);
  for (const auto& text : list_.shared) {
    SharedFolder folder = fromListed(text);
    if (nameFault(folder.label) == NameFault::none && !labels_.contains(folder.label)) {
      openShareFolder(std::move(folder));
    }
  }
  // Version 1 kept the names only; and the share may have been moved.
  for (const auto& name : list_.hidden) list_.unshared.insert(pathOf(name));
}

void Indexer::openShareFolder(SharedFolder folder) {
  auto folders = std::make_shared<SharedFolders>(*folders_);
  const auto index = static_cast<std::uint32_t>(folders->size());
  if (!folder.label.empty()) labels_.emplace(folder.label, index);
  folderStates_.emplace_back().real = resolvedFolder(folder.path).string();
  folders->push_back(std::move(folder));
  folders_ = std::move(folders);
  nextFolderCheck_ = TimePoint{};
}

// Without symbolic links: of the folder, or of the single file.
std::string Indexer::topOf(std::uint32_t index) const {
  const SharedFolder& folder = folders_->at(index);
  const std::string& real = folderStates_[index].real;
  return folder.single ? (fs::path(real) / folder.label).string() : real;
}

// Whether it is in a shared folder, or a shared folder in it.
bool Indexer::concernsShare(const std::string& real) const {
  for (std::uint32_t i = 0; i < folderStates_.size(); ++i) {
    const std::string top = topOf(i);
    const bool concerns = isAtOrBelow(real, top) || isAtOrBelow(top, real);
    if (folderStates_[i].active && concerns) return true;
  }
  return false;
}

// By which names a path can be reached: one for each shared folder above it.
std::vector<std::string> Indexer::namesOf(const std::string& real) const {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < folderStates_.size(); ++i) {
    const SharedFolder& folder = folders_->at(i);
    if (!folderStates_[i].active || !isAtOrBelow(real, folderStates_[i].real)) continue;
    std::string_view inside = std::string_view(real).substr(folderStates_[i].real.size());
    if (inside.starts_with('/')) inside.remove_prefix(1);
    if (folder.single && inside == folder.label) names.push_back(folder.label);
    if (folder.single) continue;
    const bool apart = !folder.label.empty() && !inside.empty();
    std::string name = folder.label + (apart ? "/" : "") + std::string(inside);
    // Another folder has taken the name.
    if (folderOf(name) == i) names.push_back(std::move(name));
  }
  return names;
}

bool Indexer::isKnown(std::string_view name) const {
  bool anything = catalogue_.current(name) != nullptr || jobs_.contains(name) ||
                  retries_.contains(name) || watches_.contains(name) || labels_.contains(name) ||
                  list_.isUnsharedItself(name, {});
  if (!anything && !name.empty()) {
    catalogue_.children(name, [&](std::string_view, bool) { anything = true; });
  }
  return anything;
}

// The path that a user means: one of the file system that has to do with what is shared, else a
// name as `list` shows it. Without symbolic links above its last component.
fs::path Indexer::meant(const fs::path& path, const std::string& name) const {
  const fs::path real = resolved(path);
  const bool isName = nameFault(name) == NameFault::none && isKnown(name);
  if (!isName || (isThere(real) && concernsShare(real.string()))) return real;
  return pathOf(name);
}

Result<void> Indexer::changeList(ShareList list) {
  if (const auto saved = saveShareList(listFile_, list); !saved) return saved;
  list_ = std::move(list);
  return {};
}

Result<void> Indexer::addNow(const fs::path& path, const std::string& name) {
  const fs::path given = resolved(path);
  const fs::path real = isThere(given) ? given : meant(path, name);
  const std::string shown = escaped(name);
  const auto names = namesOf(real.string());
  const bool unsharedItself = std::ranges::any_of(
      names, [&](const auto& each) { return list_.isUnsharedItself(each, real.string()); });
  struct stat status {};
  // What was unshared may be shared again before it is there again.
  if (::lstat(real.c_str(), &status) != 0) {
    if (!unsharedItself) return systemError("cannot share " + shown, errno);
  } else if (S_ISLNK(status.st_mode)) {
    return refusal(shown + " is a symbolic link: share what it leads to");
  } else if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    return refusal(shown + " is no file and no folder");
  } else if (names.empty() ? isInStateFolder(real.string()) : isStateFolder(real.string())) {
    return refusal(shown + " is the state of a peer or metaserver, and never shared");
  }
  if (!names.empty()) return addInside(real, names);
  return addOutside(real);
}

// What lies in a shared folder already.
Result<void> Indexer::addInside(const fs::path& path, const std::vector<std::string>& names) {
  const std::string real = path.string();
  const std::string shown = escaped(names.front());
  ShareList list = list_;
  list.unshared.erase(real);
  for (const auto& name : names) {
    if (!name.empty() && nameFault(name) != NameFault::none) {
      return refusal(
          fmt::format("{} is never shared: its name {}", shown, described(nameFault(name))));
    }
    list.hidden.erase(name);
  }
  for (const auto& name : names) {
    if (list.isUnshared(name, real)) {
      return refusal(shown + " is in a folder that is unshared: share that first");
    }
    const std::size_t label = folders_->at(folderOf(name)).label.size();
    if (list.isDotHidden(name, label)) list.named.insert(name);
  }
  if (list == list_) return {};  // It is shared already.
  if (const auto changed = changeList(std::move(list)); !changed) return changed;
  touched_.insert(names.begin(), names.end());
  return {};
}

Result<void> Indexer::addOutside(const fs::path& path) {
  const std::string shown = escaped(path.string());
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return systemError("cannot share " + shown, errno);
  const bool single = S_ISREG(status.st_mode);
  const std::string label = path.filename().string();
  if (nameFault(label) != NameFault::none || !isUtf8(path.string())) {
    return refusal(shown + ": nothing of that name is ever shared");
  }
  boost::system::error_code error;
  const bool taken = labels_.contains(label) ||
                     fs::symlink_status(options_.root / label, error).type() != fs::file_not_found;
  if (taken) return refusal(escaped(label) + " is in the share already: rename one of them");
  SharedFolder folder{label, single ? path.parent_path() : path, single};
  ShareList list = list_;
  list.shared.insert(listed(folder));
  if (const auto changed = changeList(std::move(list)); !changed) return changed;
  openShareFolder(std::move(folder));
  return {};
}

Result<void> Indexer::removeNow(const fs::path& path, const std::string& name) {
  fs::path real = meant(path, name);
  boost::system::error_code error;
  // A link is not shared itself: what it leads to is.
  if (fs::symlink_status(real, error).type() == fs::symlink_file) real = resolvedFolder(real);
  return unshare(real, escaped(name));
}

// After it nothing at or below that path is shared, under whatever name.
Result<void> Indexer::unshare(const fs::path& path, const std::string& shown) {
  const std::string real = path.string();
  if (real == folderStates_[0].real) return refusal(shown + " is the share itself");
  if (isAtOrBelow(folderStates_[0].real, real)) return refusal("the share itself is in " + shown);
  ShareList list = list_;
  std::vector<std::uint32_t> closed;
  for (std::uint32_t i = 1; i < folderStates_.size(); ++i) {
    const SharedFolder& folder = folders_->at(i);
    if (!folderStates_[i].active || !isAtOrBelow(topOf(i), real)) continue;
    closed.push_back(i);
    list.shared.erase(listed(folder));
    // They would otherwise hold for the next folder of that label.
    const auto isOf = [&](const std::string& name) { return isAtOrBelow(name, folder.label); };
    std::erase_if(list.hidden, isOf);
    std::erase_if(list.named, isOf);
  }
  std::erase_if(list.unshared, [&](const auto& other) { return isAtOrBelow(other, real); });
  std::vector<std::string> names;
  bool wasShared = !closed.empty();
  const bool there = isThere(path);
  for (auto& name : namesOf(real)) {
    if (std::ranges::find(closed, folderOf(name)) != closed.end()) continue;
    wasShared = wasShared || (isScanned(name) && (there || isKnown(name)));
    const auto isOf = [&](const std::string& other) { return isAtOrBelow(other, name); };
    std::erase_if(list.hidden, isOf);
    std::erase_if(list.named, isOf);
    list.hidden.insert(name);
    list.unshared.insert(real);
    names.push_back(std::move(name));
  }
  if (!wasShared) return refusal(shown + " is not shared");
  if (const auto changed = changeList(std::move(list)); !changed) return changed;
  for (const auto index : closed) closeShareFolder(index);
  for (const auto& name : names) forgetTree(name);
  return {};
}

void Indexer::closeShareFolder(std::uint32_t index) {
  forgetFolder(index);
  folderStates_[index].active = false;
  labels_.erase(folders_->at(index).label);
}

}  // namespace espalier::share
