#include <algorithm>
#include <cerrno>
#include <future>

#include "common/base/text.h"
#include "peer/share/indexer.h"

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

// What `path` is called below `folder`: "" for itself, nothing if it is not below it.
std::optional<std::string> below(const fs::path& folder, const fs::path& path) {
  const std::string& top = folder.native();
  const std::string& whole = path.native();
  if (whole == top) return "";
  if (!whole.starts_with(top) || whole[top.size()] != '/') return std::nullopt;
  return whole.substr(top.size() + 1);
}

bool allShareable(std::string_view name) {
  while (true) {
    const std::size_t slash = name.find('/');
    if (!isShareable(name.substr(0, slash))) return false;
    if (slash == name.npos) return true;
    name.remove_prefix(slash + 1);
  }
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

Result<void> Indexer::onCommand(const std::function<Result<void>()>& command) {
  std::promise<Result<void>> answer;
  post([&] { answer.set_value(command()); });
  return answer.get_future().get();
}

Result<void> Indexer::add(const fs::path& path) {
  return onCommand([&] { return addNow(path); });
}

Result<void> Indexer::remove(const fs::path& path) {
  return onCommand([&] { return removeNow(path); });
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
    if (isShareable(folder.label) && !labels_.contains(folder.label)) {
      openShareFolder(std::move(folder));
    }
  }
}

void Indexer::openShareFolder(SharedFolder folder) {
  auto folders = std::make_shared<SharedFolders>(*folders_);
  const auto index = static_cast<std::uint32_t>(folders->size());
  if (!folder.label.empty()) labels_.emplace(folder.label, index);
  folders->push_back(std::move(folder));
  folders_ = std::move(folders);
  folderStates_.emplace_back();
  nextFolderCheck_ = TimePoint{};
}

std::optional<std::string> Indexer::nameOf(const fs::path& path) const {
  for (std::size_t i = folders_->size(); i-- > 0;) {
    if (!folderStates_[i].active) continue;
    const SharedFolder& folder = (*folders_)[i];
    const auto inside = below(resolvedFolder(folder.path), path);
    if (!inside) continue;
    if (folder.single && *inside == folder.label) return folder.label;
    if (folder.single) continue;
    if (folder.label.empty() || inside->empty()) return folder.label + *inside;
    return folder.label + '/' + *inside;
  }
  return std::nullopt;
}

bool Indexer::isKnown(std::string_view name) const {
  bool anything = catalogue_.current(name) != nullptr || jobs_.contains(name) ||
                  retries_.contains(name) || watches_.contains(name) || labels_.contains(name);
  if (!anything && !name.empty()) {
    catalogue_.children(name, [&](std::string_view, bool) { anything = true; });
  }
  return anything;
}

Result<void> Indexer::changeList(ShareList list) {
  if (const auto saved = saveShareList(listFile_, list); !saved) return saved;
  list_ = std::move(list);
  return {};
}

Result<void> Indexer::addNow(const fs::path& path) {
  const fs::path real = resolved(path);
  auto name = nameOf(real);
  if (!name && list_.hidden.contains(path.string())) name = path.string();
  if (!name) return addOutside(real);
  if (list_.hidden.contains(*name)) {
    ShareList list = list_;
    list.hidden.erase(*name);
    if (const auto changed = changeList(std::move(list)); !changed) return changed;
    touched_.insert(*name);
    return {};
  }
  if (isHidden(*name)) {
    return refusal(escaped(*name) + " is in a folder that is unshared: share that first");
  }
  if (!name->empty() && !allShareable(*name)) {
    return refusal(escaped(*name) + " is the program's own and never shared");
  }
  struct stat status {};
  if (::lstat(real.c_str(), &status) != 0) {
    return systemError("cannot share " + escaped(path.string()), errno);
  }
  return {};  // It is shared already.
}

Result<void> Indexer::addOutside(const fs::path& path) {
  const std::string shown = escaped(path.string());
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return systemError("cannot share " + shown, errno);
  if (S_ISLNK(status.st_mode)) {
    return refusal(shown + " is a symbolic link: share what it leads to");
  }
  const bool single = S_ISREG(status.st_mode);
  if (!single && !S_ISDIR(status.st_mode)) return refusal(shown + " is no file and no folder");
  const std::string label = path.filename().string();
  if (!isShareable(label) || !isUtf8(path.string())) {
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

Result<void> Indexer::removeNow(const fs::path& path) {
  const fs::path real = resolved(path);
  auto name = nameOf(real);
  boost::system::error_code error;
  const bool there = fs::symlink_status(real, error).type() != fs::file_not_found;
  if (!name || !(there || isKnown(*name))) name = path.string();
  if (name->empty()) return refusal(escaped(path.string()) + " is the share itself");
  if (labels_.contains(*name)) return closeShareFolder(*name);
  if (isHidden(*name) || !(isKnown(*name) || nameOf(real) == name)) {
    return refusal(escaped(path.string()) + " is not shared");
  }
  ShareList list = list_;
  list.hidden.insert(*name);
  if (const auto changed = changeList(std::move(list)); !changed) return changed;
  forgetTree(*name);
  return {};
}

Result<void> Indexer::closeShareFolder(const std::string& label) {
  const std::uint32_t index = labels_.find(label)->second;
  ShareList list = list_;
  list.shared.erase(listed(folders_->at(index)));
  // What was hidden below it would otherwise hide the next folder of that name.
  std::erase_if(list.hidden,
                [&](const std::string& name) { return name.starts_with(label + '/'); });
  if (const auto changed = changeList(std::move(list)); !changed) return changed;
  forgetFolder(index);
  folderStates_[index].active = false;
  labels_.erase(label);
  return {};
}

}  // namespace espalier::share
