#include "peer/share/share_editor.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

Error refusal(const std::string& text) {
  return {ErrorCode::failed, text};
}

// Absolute, with the links of the folders above resolved, but not of the last component: a link is
// not shared, so it must be seen.
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

// A folder as share.json has it.
std::string listed(const SharedFolder& folder) {
  return folder.single ? (folder.path / folder.label).string() : folder.path.string() + '/';
}

SharedFolder fromListed(const std::string& text) {
  const bool single = !text.ends_with('/');
  const fs::path path = single ? text : text.substr(0, text.size() - 1);
  return {path.filename().string(), single ? path.parent_path() : path, single};
}

}  // namespace

void ShareEditor::load() {
  openFolder({"", fs::absolute(root_).lexically_normal(), false});
  if (const auto loaded = parts_.rules.load(); !loaded) {
    parts_.notify({log::Level::warning,
                   loaded.error().message + ": the changes of `share` and `unshare` are lost"});
    return;
  }
  for (const auto& text : parts_.rules.list().shared) {
    SharedFolder folder = fromListed(text);
    if (nameFault(folder.label) == NameFault::none && !parts_.folders.hasLabel(folder.label)) {
      openFolder(std::move(folder));
    }
  }
  parts_.rules.addUnsharedPaths();
}

void ShareEditor::openFolder(SharedFolder folder) {
  std::string real = resolvedFolder(folder.path).string();
  parts_.folders.open(std::move(folder), std::move(real));
  parts_.queue.checkFoldersBy(TimePoint{});
}

void ShareEditor::closeFolder(std::uint32_t index) {
  parts_.files.forgetFolder(index);
  parts_.folders.close(index);
}

// Whether anything has, or had, that share name.
bool ShareEditor::isKnown(std::string_view name) const {
  bool anything = parts_.catalogue.current(name) != nullptr || parts_.schedule.contains(name) ||
                  parts_.watch.contains(name) || parts_.folders.hasLabel(name) ||
                  parts_.rules.list().isUnsharedItself(name, {});
  if (!anything && !name.empty()) {
    parts_.catalogue.children(name, [&](std::string_view, bool) { anything = true; });
  }
  return anything;
}

// What the user means: the path, if it is there and overlaps a shared folder, else the file or
// folder of that share name, if there is one. Without symbolic links above its last component.
fs::path ShareEditor::meantPath(const fs::path& path, const std::string& name) const {
  const fs::path real = resolved(path);
  const bool isName = nameFault(name) == NameFault::none && isKnown(name);
  if (!isName || (isThere(real) && parts_.folders.overlaps(real.string()))) return real;
  return parts_.folders.pathOf(std::string_view(name));
}

Result<void> ShareEditor::add(const fs::path& path, const std::string& name) {
  const fs::path given = resolved(path);
  const fs::path real = isThere(given) ? given : meantPath(path, name);
  const std::string shown = escaped(name);
  const auto names = parts_.folders.namesOf(real.string());
  const bool unsharedItself = std::ranges::any_of(names, [&](const auto& each) {
    return parts_.rules.list().isUnsharedItself(each, real.string());
  });
  struct stat status {};
  if (::lstat(real.c_str(), &status) != 0) {
    // What was unshared may be shared again while it is absent.
    if (!unsharedItself) return systemError("cannot share " + shown, errno);
  } else if (S_ISLNK(status.st_mode)) {
    return refusal(shown + " is a symbolic link: share its target");
  } else if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    return refusal(shown + " is neither a file nor a folder");
  } else if (names.empty() ? isInStateFolder(real.string()) : isStateFolder(real.string())) {
    return refusal(shown + " is the state of a peer or metaserver, and never shared");
  }
  if (!names.empty()) return addInside(real, names);
  return addOutside(real);
}

// A path in a shared folder: it is no longer unshared, or its dot name is shared from now on.
Result<void> ShareEditor::addInside(const fs::path& path, const std::vector<std::string>& names) {
  const std::string real = path.string();
  const std::string shown = escaped(names.front());
  ShareList list = parts_.rules.list();
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
    if (parts_.rules.isDotHidden(list, name)) list.named.insert(name);
  }
  if (list == parts_.rules.list()) return {};  // It is shared already.
  if (const auto changed = parts_.rules.change(std::move(list)); !changed) return changed;
  for (const auto& name : names) parts_.queue.look(name);
  return {};
}

// A path outside all shared folders: a new one.
Result<void> ShareEditor::addOutside(const fs::path& path) {
  const std::string shown = escaped(path.string());
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return systemError("cannot share " + shown, errno);
  const bool single = S_ISREG(status.st_mode);
  const std::string label = path.filename().string();
  if (nameFault(label) != NameFault::none || !isUtf8(path.string())) {
    return refusal(shown + ": nothing of that name is ever shared");
  }
  boost::system::error_code error;
  const bool taken = parts_.folders.hasLabel(label) ||
                     fs::symlink_status(root_ / label, error).type() != fs::file_not_found;
  if (taken) return refusal(escaped(label) + " is in the share already: rename one of them");
  SharedFolder folder{label, single ? path.parent_path() : path, single};
  ShareList list = parts_.rules.list();
  list.shared.insert(listed(folder));
  if (const auto changed = parts_.rules.change(std::move(list)); !changed) return changed;
  openFolder(std::move(folder));
  return {};
}

Result<void> ShareEditor::remove(const fs::path& path, const std::string& name) {
  fs::path real = meantPath(path, name);
  boost::system::error_code error;
  // A link is not shared itself: what it leads to is.
  if (fs::symlink_status(real, error).type() == fs::symlink_file) real = resolvedFolder(real);
  return unshare(real, escaped(name));
}

// The open folders that `unshare` of that path closes; never the share itself.
std::vector<std::uint32_t> ShareEditor::foldersBelow(const std::string& real) const {
  std::vector<std::uint32_t> below;
  for (std::uint32_t i = 1; i < parts_.folders.size(); ++i) {
    if (parts_.folders.isOpen(i) && isAtOrBelow(parts_.folders.pathOf(i), real)) below.push_back(i);
  }
  return below;
}

Result<void> ShareEditor::unshare(const fs::path& path, const std::string& shown) {
  const std::string real = path.string();
  const std::string& share = parts_.folders.real(0);
  if (real == share) return refusal(shown + " is the share itself");
  if (isAtOrBelow(share, real)) return refusal("the share itself is in " + shown);
  ShareList list = parts_.rules.list();
  const auto eraseNames = [&list](const std::string& top) {
    const auto isBelow = [&](const std::string& name) { return isAtOrBelow(name, top); };
    std::erase_if(list.hidden, isBelow);
    std::erase_if(list.named, isBelow);
  };
  const auto closed = foldersBelow(real);
  for (const auto index : closed) {
    list.shared.erase(listed(parts_.folders.at(index)));
    // They would otherwise hold for the next folder of that label.
    eraseNames(parts_.folders.at(index).label);
  }
  std::erase_if(list.unshared, [&](const auto& other) { return isAtOrBelow(other, real); });
  std::vector<std::string> names;
  bool wasShared = !closed.empty();
  const bool there = isThere(path);
  for (auto& name : parts_.folders.namesOf(real)) {
    if (std::ranges::find(closed, parts_.folders.indexOf(name)) != closed.end()) continue;
    wasShared = wasShared || (parts_.rules.isScanned(name) && (there || isKnown(name)));
    eraseNames(name);
    list.hidden.insert(name);
    list.unshared.insert(real);
    names.push_back(std::move(name));
  }
  if (!wasShared) return refusal(shown + " is not shared");
  if (const auto changed = parts_.rules.change(std::move(list)); !changed) return changed;
  for (const auto index : closed) closeFolder(index);
  for (const auto& name : names) parts_.files.forgetTree(name);
  return {};
}

}  // namespace espalier::share
