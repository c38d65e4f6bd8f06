// A page of the topology while it is filled: entries for one frame, at least one. A value. Used by
// the registry and by its copies, so that both cut the same pages. O(links) an entry.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/registry.h"

namespace espalier::metaserver {

class TopologyPage {
 public:
  explicit TopologyPage(std::size_t mostBytes) : mostBytes_(mostBytes) {}

  // False: the entry belongs to the next page.
  bool add(wire::TopologyEntry entry) {
    std::size_t bytes = entry.member.id.text().size() + limits::kHostBytes + kEntryBytes;
    for (const auto& neighbour : entry.neighbours) bytes += neighbour.text().size() + kLinkBytes;
    if (bytes_ + bytes > mostBytes_ && !entries_.empty()) return false;
    bytes_ += bytes;
    entries_.push_back(std::move(entry));
    return true;
  }
  std::vector<wire::TopologyEntry> take() { return std::move(entries_); }

 private:
  static constexpr std::size_t kLinkBytes = 8;  // of an entry's frame, beside the texts
  static constexpr std::size_t kEntryBytes = 64;

  std::size_t mostBytes_;
  std::size_t bytes_ = 0;
  std::vector<wire::TopologyEntry> entries_;
};

}  // namespace espalier::metaserver
