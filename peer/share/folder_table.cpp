#include "peer/share/folder_table.h"

#include <algorithm>
#include <utility>

#include "peer/share/share_list.h"

namespace espalier::share {

void FolderTable::open(SharedFolder folder, std::string real) {
  if (!folder.label.empty()) labels_.emplace(folder.label, size());
  auto folders = std::make_shared<SharedFolders>(*folders_);
  folders->push_back(std::move(folder));
  folders_ = std::move(folders);
  states_.push_back({true, false, std::move(real)});
}

void FolderTable::close(std::uint32_t index) {
  states_[index].open = false;
  labels_.erase(at(index).label);
}

void FolderTable::setPresent(std::uint32_t index, std::string real) {
  states_[index].present = true;
  states_[index].real = std::move(real);
}

bool FolderTable::allPresent() const {
  return std::ranges::all_of(states_,
                             [](const State& state) { return state.present || !state.open; });
}

std::uint32_t FolderTable::indexOf(std::string_view name) const {
  const auto label = labels_.find(name.substr(0, name.find('/')));
  return label != labels_.end() ? label->second : 0;
}

std::string FolderTable::pathOf(std::string_view name) const {
  const std::uint32_t index = indexOf(name);
  const std::string relative = at(index).relative(name);
  const std::string& top = real(index);
  return relative.empty() ? top : (top == "/" ? "" : top) + '/' + relative;
}

std::string FolderTable::pathOf(std::uint32_t index) const {
  const SharedFolder& folder = at(index);
  return folder.single ? (fs::path(real(index)) / folder.label).string() : real(index);
}

std::vector<std::string> FolderTable::namesOf(const std::string& path) const {
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < size(); ++i) {
    const SharedFolder& folder = at(i);
    if (!isOpen(i) || !isAtOrBelow(path, real(i))) continue;
    std::string_view inside = std::string_view(path).substr(real(i).size());
    if (inside.starts_with('/')) inside.remove_prefix(1);
    if (folder.single && inside == folder.label) names.push_back(folder.label);
    if (folder.single) continue;
    const bool apart = !folder.label.empty() && !inside.empty();
    std::string name = folder.label + (apart ? "/" : "") + std::string(inside);
    // A name that begins with the label of another folder belongs to that folder.
    if (indexOf(name) == i) names.push_back(std::move(name));
  }
  return names;
}

bool FolderTable::overlaps(const std::string& path) const {
  for (std::uint32_t i = 0; i < size(); ++i) {
    const std::string top = pathOf(i);
    if (isOpen(i) && (isAtOrBelow(path, top) || isAtOrBelow(top, path))) return true;
  }
  return false;
}

}  // namespace espalier::share
